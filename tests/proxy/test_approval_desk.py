from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.approval_desk import Desk
from proxy.approvals import Decision
from tests.support.asking import ALLOWED, DENIED, asked, leaves, waits
from trajectory.clock import ManualClock


def made(clock: ManualClock | None = None, **bounds: Any) -> Desk:
    return Desk(clock or ManualClock(), **bounds)


def states(desk: Desk) -> list[tuple[str, str]]:
    return [(one.asked.id, one.state) for one in desk.questions()]


async def test_a_call_waits_until_it_is_decided_and_gets_that_decision() -> None:
    desk = made()
    agent = await waits(desk, asked(1))
    assert states(desk) == [("q-1", "waiting")]
    assert not agent.done()
    settled, is_new = desk.settle("q-1", ALLOWED) or pytest.fail("unknown")
    assert (is_new, settled.is_held, await agent) == (True, False, ALLOWED)
    assert desk.questions() == []


async def test_who_decides_second_is_told_who_was_first() -> None:
    clock = ManualClock()
    desk = made(clock)
    agent = await waits(desk, asked(1))
    desk.settle("q-1", DENIED)
    clock.advance(5)
    settled, is_new = desk.settle("q-1", ALLOWED) or pytest.fail("unknown")
    assert (settled.decision, settled.at_s, is_new) == (DENIED, 1_700_000_000.0, False)
    assert await agent == DENIED


async def test_an_unknown_question_is_none() -> None:
    assert made().settle("q-9", ALLOWED) is None


async def test_nobody_in_time_is_a_timeout_and_the_question_stays_for_who_comes_late() -> None:
    desk = made()
    assert (await desk.decide(asked(1, timeout_s=0))).outcome == "timed_out"
    assert states(desk) == [("q-1", "timed_out")]
    assert desk.counts == {"timed_out": 1}


async def test_an_agent_that_leaves_no_longer_waits() -> None:
    desk = made()
    await leaves(await waits(desk, asked(1)))
    assert states(desk) == [("q-1", "left")]
    assert desk.questions()[0].callers == 0


@pytest.mark.parametrize("again", [asked(8, trajectory="s-2", identity="identity-1"), asked(9)])
async def test_a_late_decision_answers_the_same_call_once_and_no_other(again: Any) -> None:
    desk = made()
    await leaves(await waits(desk, asked(1)))
    settled, _ = desk.settle("q-1", ALLOWED) or pytest.fail("unknown")
    assert settled.is_held
    assert states(desk) == [("q-1", "held")]
    other = await waits(desk, again)
    assert not other.done(), "another call, or one of another trajectory, is asked for itself"
    assert await desk.decide(asked(2, identity="identity-1")) == ALLOWED
    third = await waits(desk, asked(3, identity="identity-1"))
    assert not third.done(), "it held once"
    await leaves(other)
    await leaves(third)


async def test_what_is_held_is_forgotten_in_time() -> None:
    clock = ManualClock()
    desk = made(clock, keep_s=900)
    await leaves(await waits(desk, asked(1)))
    await leaves(await waits(desk, asked(2)))
    clock.advance(899)
    desk.settle("q-1", ALLOWED)
    clock.advance(2)
    assert states(desk) == [("q-1", "held")], "15 minutes after the decision, not after the agent left"
    assert desk.settle("q-2", ALLOWED) is None, "nobody may decide on what nobody has asked for so long"
    clock.advance(900)
    agent = await waits(desk, asked(3, identity="identity-1"))
    assert not agent.done()
    await leaves(agent)


async def test_an_agent_that_comes_back_waits_under_the_name_that_the_person_sees() -> None:
    desk = made()
    await leaves(await waits(desk, asked(1)))
    agent = await waits(desk, asked(2, identity="identity-1"))
    assert states(desk) == [("q-1", "waiting")]
    desk.settle("q-1", ALLOWED)
    assert await agent == ALLOWED


async def test_the_same_call_asked_twice_at_once_is_one_question() -> None:
    desk = made()
    first, second = await waits(desk, asked(1)), await waits(desk, asked(2, identity="identity-1"))
    (question,) = desk.questions()
    assert (question.asked.id, question.callers) == ("q-1", 2)
    await leaves(first)
    assert states(desk) == [("q-1", "waiting")], "one of them is still there"
    settled, _ = desk.settle("q-1", DENIED) or pytest.fail("unknown")
    assert (settled.is_held, await second) == (False, DENIED)


async def test_a_decision_that_nobody_heard_is_held() -> None:
    """Decided and gone in the same turn of the loop: the person was told that it is allowed."""
    desk = made()
    agent = await waits(desk, asked(1))
    desk.settle("q-1", ALLOWED)
    await leaves(agent)
    assert agent.cancelled()
    assert states(desk) == [("q-1", "held")]
    assert await desk.decide(asked(2, identity="identity-1")) == ALLOWED


async def test_a_decision_that_one_of_two_heard_is_not_held() -> None:
    desk = made()
    first, second = await waits(desk, asked(1)), await waits(desk, asked(2, identity="identity-1"))
    desk.settle("q-1", ALLOWED)
    await leaves(second)
    assert await first == ALLOWED
    assert desk.questions() == []


async def test_above_its_bounds_the_desk_denies() -> None:
    desk = made(capacity=3, capacity_of_session=2)
    agents = [await waits(desk, asked(number)) for number in (1, 2)]
    flooding = await desk.decide(asked(3))
    assert (flooding.outcome, flooding.by) == ("denied", "the desk")
    assert "full for this session: 2" in flooding.reason
    agents.append(await waits(desk, asked(4, session="s-2", trajectory="s-2")))
    full = await desk.decide(asked(5, session="s-3", trajectory="s-3"))
    assert (full.outcome, "the desk is full: 3" in full.reason) == ("denied", True)
    agents.append(await waits(desk, asked(6, identity="identity-1")))
    assert not agents[-1].done(), "what lies there may be asked again"
    for agent in agents:
        await leaves(agent)


async def test_questions_whose_agents_have_gone_are_bounded_the_oldest_forgotten() -> None:
    clock = ManualClock()
    desk = made(clock, capacity=2)
    for number in range(5):
        await leaves(await waits(desk, asked(number)))
        clock.advance(1)
    assert [name for name, _ in states(desk)] == ["q-3", "q-4"]


async def test_time_left_counts_down_by_the_loop_s_clock() -> None:
    desk = made()
    agent = await waits(desk, asked(1, timeout_s=60))
    (question,) = desk.questions()
    assert 0 < question.time_left_s <= 60
    await leaves(agent)


async def test_a_page_that_waits_hears_of_every_change() -> None:
    desk = made()
    agent = asyncio.ensure_future(desk.decide(asked(1)))
    await asyncio.wait_for(desk.changed(desk.version), 5)
    assert states(desk) == [("q-1", "waiting")]
    listening = asyncio.ensure_future(desk.changed(desk.version))
    desk.settle("q-1", ALLOWED)
    await asyncio.wait_for(listening, 5)
    await agent
    await asyncio.wait_for(desk.changed(0), 5)  # a version that it never had, as that of an earlier start


async def test_what_was_decided_is_counted() -> None:
    desk = made()
    for number, decision in enumerate((ALLOWED, DENIED, ALLOWED)):
        agent = await waits(desk, asked(number))
        desk.settle(f"q-{number}", decision)
        assert isinstance(await agent, Decision)
    assert desk.counts == {"allowed": 2, "denied": 1}
