"""Shadow traffic beside a real gateway: what candidates are asked, what is kept of it, what production notices."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ironcage.shadowing import ShadowDesk
from replay.shadow import ShadowSettings
from tests.support.recordings import Message, calls, result, said, user
from tests.support.replaying import Replaying, claude, replaying
from tests.support.scripted_model import scripted
from trajectory.errors import OperatorError
from trajectory.ids import trajectory_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LOOK = calls(("c1", "look", '{"id": 7}'))
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("look", "refund")]
QUESTION = [user("where is order 7?")]


@pytest.fixture
def silent() -> Iterator[dict[str, str]]:
    """An upstream whose kernel takes connections, and that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {"base_url": f"http://127.0.0.1:{server.getsockname()[1]}", "wire": "openai"}


def production(messages: list[Message]) -> Message:
    return said("In transit.") if messages[-1]["role"] == "tool" else LOOK


def hasty(messages: list[Message]) -> Message:
    return calls(("c2", "refund", '{"id": 7}')) if messages[-1]["role"] == "tool" else LOOK


SPEAKERS = {"prod-1": production, "same-1": production, "hasty-1": hasty, "gpt-4o-mini": production}


async def live(at: Replaying, session: str = "prod") -> None:
    """A production run of two turns."""
    await at.ask(session, QUESTION, tools=TOOLS)
    await at.ask(session, [*QUESTION, LOOK, result("c1", "in transit")], tools=TOOLS)


@asynccontextmanager
async def shadowed(
    folder: Path, *candidates: str, speakers: dict[str, Any] = SPEAKERS, **rest: Any
) -> AsyncIterator[Any]:
    settings = {"share": 1, "max_per_s": 1e6, **rest.pop("shadow", {})}
    async with replaying(folder, speakers, **rest) as at:
        desk = ShadowDesk(at.served.doors)
        await desk.start(ShadowSettings(candidates=candidates, **settings))
        try:
            yield at, desk
        finally:
            await desk.stop()


async def test_each_true_context_goes_to_each_candidate_and_the_pairs_are_scored(tmp_path: Path) -> None:
    async with shadowed(tmp_path, "same=openai/same-1", "hasty=openai/hasty-1") as (at, desk):
        await live(at)
        await desk.idle()
        status = await desk.status()
        asked = [json.loads(body) for body in at.model.asked]
    by_model = {name: [one["messages"] for one in asked if one["model"] == name] for name in SPEAKERS}
    assert by_model["same-1"] == by_model["hasty-1"] == by_model["prod-1"], "at each turn what production was given"
    assert (status.counts.heard, status.counts.sampled, status.counts.compared) == (2, 2, 4)
    rows = {row.candidate: row for row in status.candidates}
    assert (rows["same"].agreement.value, rows["hasty"].agreement.value) == (1.0, 0.5)
    assert rows["same"].latency_difference_s.n == 2


async def test_a_shadow_is_a_session_of_its_own_that_the_user_s_knows_nothing_of(tmp_path: Path) -> None:
    limits = {"max_retries": 0}
    async with shadowed(tmp_path, "hasty=openai/hasty-1", constraints=limits) as (at, desk):
        await live(at)
        await desk.idle()
        store, (run,) = at.served.store, at.served.store.runs((await desk.status()).id)
    mine, shadow = store.trajectory(trajectory_id("prod", None)), store.trajectory(run.trajectory)
    assert (mine.source, shadow.source) == ("live", "shadow")
    assert (len(mine.steps), len(shadow.steps)) == (2, 2)
    assert {step.model for step in mine.steps} == {"prod-1"}
    assert {step.model for step in shadow.steps} == {"hasty-1"}
    assert shadow.session != mine.session
    assert [one.id for one in store.find(source="live")] == [mine.id]


async def test_what_a_candidate_proposes_is_judged_by_policy_and_counted(tmp_path: Path) -> None:
    async with shadowed(tmp_path, "hasty=openai/hasty-1", constraints={"allowed_tools": ["look"]}) as (at, desk):
        await live(at)
        await desk.idle()
        (row,) = (await desk.status()).candidates
    assert row.violations == {"tool_not_allowed": 1}
    assert row.recorded_violations == {}


async def test_production_goes_on_while_a_candidate_says_nothing_and_what_finds_no_room_is_dropped(
    tmp_path: Path, silent: dict[str, str]
) -> None:
    """Of nine pairs one is under way, one waits, and the rest are dropped."""
    async with shadowed(
        tmp_path,
        "slow=silent/slow-1",
        shadow={"max_queued": 1, "max_parallel": 1},
        upstreams={"silent": silent},
    ) as (at, desk):
        for number in range(9):
            answer = await at.ask(f"prod-{number}", QUESTION, tools=TOOLS)
            assert answer["choices"][0]["message"]["tool_calls"]
        counts = (await desk.status()).counts
        assert counts.heard == 9
        assert counts.dropped_queue_full >= 7
        assert counts.compared == 0


async def test_a_budget_in_dollars_ends_the_mirroring(tmp_path: Path) -> None:
    async with shadowed(
        tmp_path, "mini=openai/gpt-4o-mini?max_tokens=10", shadow={"budget_usd": 0.000195, "max_parallel": 1}
    ) as (at, desk):
        for number in range(6):
            await at.ask(f"prod-{number}", QUESTION, tools=TOOLS)
            await desk.idle()
        counts = (await desk.status()).counts
    assert counts.compared > 0
    assert counts.dropped_over_budget > 0
    assert counts.compared + counts.dropped_over_budget == 6
    assert 0 < counts.spent_usd <= 0.000195


async def test_a_budget_needs_a_price_and_a_shadow_an_upstream(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        desk = ShadowDesk(at.served.doors)
        with pytest.raises(OperatorError, match="no price is known of 'same-1'"):
            await desk.start(ShadowSettings(candidates=("a=openai/same-1",), budget_usd=1))
        with pytest.raises(OperatorError, match="no model upstream 'nowhere'"):
            await desk.start(ShadowSettings(candidates=("a=nowhere/same-1",)))
        assert not (await desk.status()).running
        await desk.start(ShadowSettings(candidates=("a=openai/same-1",)))
        with pytest.raises(OperatorError, match="a shadow is running"):
            await desk.start(ShadowSettings(candidates=("a=openai/same-1",)))
        status = await desk.stop()
        assert not status.running
        await live(at)
        assert (await desk.status()).counts.heard == 0


async def test_a_candidate_sees_the_pseudonyms_that_production_s_model_saw(tmp_path: Path) -> None:
    redaction = {"policies": {"redaction": {"types": [], "known_values": {"NAME": ["Ada Byron"]}}}}
    async with shadowed(tmp_path, "same=openai/same-1", **redaction) as (at, desk):
        await at.ask("prod", [user("I am Ada Byron")])
        await desk.idle()
        first, mirrored = (json.loads(body)["messages"] for body in at.model.asked)
        assert first == mirrored
        assert "Ada" not in json.dumps(first)
        run = at.served.store.runs((await desk.status()).id)[0]
        assert run.steps[0].same_arguments is True


async def test_a_candidate_may_speak_another_wire(tmp_path: Path) -> None:
    async with scripted(claude) as model:
        upstreams = {"anthropic": {"base_url": model.url, "wire": "anthropic"}}
        named = "claude=anthropic/claude-1,wire=anthropic.messages"
        async with shadowed(tmp_path, named, upstreams=upstreams) as (at, desk):
            await live(at)
            await desk.idle()
            (row,) = (await desk.status()).candidates
    assert (row.steps, row.unknown_steps, row.same_tools.value) == (2, 0, 1.0)
    assert model.paths == ["POST /v1/messages"] * 2


async def test_turns_of_one_trajectory_stay_in_one_shadow_while_many_run_at_once(tmp_path: Path) -> None:
    async with shadowed(tmp_path, "same=openai/same-1", shadow={"unit": "trajectory", "max_parallel": 8}) as (at, desk):
        await asyncio.gather(*(live(at, f"prod-{number}") for number in range(12)))
        await desk.idle()
        runs = at.served.store.runs((await desk.status()).id)
    assert sorted(run.task for run in runs) == sorted(trajectory_id(f"prod-{number}", None) for number in range(12))
    assert [len(run.steps) for run in runs] == [2] * 12
    assert all(step.same_tools for run in runs for step in run.steps)


async def test_nobody_is_asked_about_what_a_shadow_proposes(tmp_path: Path) -> None:
    policies = {"approvals": {"tools": {"refund": {}}, "timeout_s": 60}}
    async with shadowed(tmp_path, "hasty=openai/hasty-1", policies=policies) as (at, desk):
        await live(at)
        await asyncio.wait_for(desk.idle(), 10)
        doors = at.served.doors
        assert doors.desk is not None
        assert doors.desk.questions() == []
        status = await desk.status()
    assert status.candidates[0].violations == {}
    assert status.counts.compared == 2
