"""From a recorded step on: what is given, what the world has been through, and what the candidate then does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.fork import fork_task
from tests.support.recordings import Message, calls, result, said, user
from tests.support.replaying import Replaying, replaying
from trajectory.errors import OperatorError

QUESTION = [user("cancel order 7 and tell me how it stands")]
CANCEL, LOOK = calls(("c1", "cancel_order", '{"id": "7"}')), calls(("c2", "get_order", '{"id": "7"}'))
CANCELLED = json.dumps({"status": "cancelled"})
CONVERSATION = [*QUESTION, CANCEL, result("c1", CANCELLED), LOOK, result("c2", CANCELLED), said("cancelled")]


def production(messages: list[Message]) -> Message:
    return CONVERSATION[len(messages)]


def looking(messages: list[Message]) -> Message:
    """It never cancels anything: it looks, and says what it sees."""
    if messages[-1]["role"] == "tool" and messages[-2]["tool_calls"][0]["id"] == "mine":
        return said(json.loads(messages[-1]["content"])["status"])
    return calls(("mine", "get_order", '{"id":"7"}'))


SPEAKERS = {"prod-1": production, "good-1": looking}


async def recorded(at: Replaying) -> None:
    for given in (1, 3, 5):
        await at.ask("prod", CONVERSATION[:given])


def world(folder: Path, status: str = "open") -> str:
    (folder / "orders.json").write_text(json.dumps({"7": {"status": status}}))
    return f"tests.support.shop_world:Shop?data={folder}"


async def test_the_candidate_goes_on_from_the_recorded_prefix_in_a_world_that_has_been_through_it(
    tmp_path: Path,
) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        bakeoff, (run,) = await at.bake(at.task("prod"), from_step=2, world=(world(tmp_path),))
        sent = json.loads(at.model.asked[3])["messages"]
    assert sent == CONVERSATION[:3], "what the model knew when it took its second step"
    assert run.answer == "cancelled", "the order was cancelled by the recorded step, not by this candidate"
    assert [(one.tool, one.fidelity) for one in run.served] == [("get_order", "simulated")]
    assert "from step 2 on: the world gave 1 of the 1 results before it as recorded" in run.certificate.notes
    assert (run.mode, bakeoff.from_step, bakeoff.mode) == ("closed_loop", 2, "closed_loop")


async def test_step_1_is_the_task_as_it_is(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"), from_step=1, world=(world(tmp_path),))
        assert run.answer == "open"
        task = at.task("prod")
        assert fork_task(at.served.store, task, 1) == task.model_copy(update={"launch": None})
        third = fork_task(at.served.store, task, 3)
        assert third.reference == ()
        assert fork_task(at.served.store, third, 3) == third


async def test_a_world_that_does_not_follow_the_recording_says_so(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"), from_step=3, world=(world(tmp_path, "cancelled"),))
    note = next(note for note in run.certificate.notes if note.startswith("from step 3"))
    assert note.endswith("the world gave 1 of the 2 results before it as recorded; other than recorded: cancel_order")


async def test_a_tape_has_given_what_the_prefix_took(tmp_path: Path) -> None:
    """The write of the prefix is made, so that the read after it is the recorded state."""
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"), from_step=2)
    assert run.answer == "cancelled"
    assert [(one.fidelity, one.may_be_stale) for one in run.served] == [("canonical", False)]


async def test_forks_are_other_conditions_and_impossible_ones_are_said(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        task = at.task("prod")
        one, _ = await at.bake(task, from_step=2, id="two")
        other, _ = await at.bake(task, from_step=3, id="three")
        assert one.fingerprint != other.fingerprint
        with pytest.raises(OperatorError, match="has 3 recorded model steps, no step 4"):
            await at.bake(task, from_step=4, id="four")
        with pytest.raises(OperatorError, match="command cannot begin at a step"):
            await at.bake(task, from_step=2, mode="agent", id="five")


async def test_tasks_without_that_step_are_left_out_with_the_reason(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        await at.ask("short", CONVERSATION[:1])
        long, short = at.task("prod"), at.task("short")
        bakeoff, runs = await at.bake(short, long, from_step=2)
        with pytest.raises(OperatorError, match=r"'short' has 1 recorded model steps, no step 4 \(and 1 more"):
            await at.bake(short, long, from_step=4, id="none")
    assert (bakeoff.tasks, [run.task for run in runs]) == ((long.id,), [long.id])
    assert bakeoff.left_out == {short.id: f"task {short.id!r} has 1 recorded model steps, no step 2"}


async def test_step_by_step_begins_at_a_step_too(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"), from_step=2, mode="stepwise")
        sent = [json.loads(body)["messages"] for body in at.model.asked[3:]]
    assert sent == [CONVERSATION[:3], CONVERSATION[:5]]
    assert [step.step for step in run.steps] == [1, 2]
