"""Recorded contexts, each once to a candidate, through a real gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.stepwise import contexts_of
from scoring.score import score
from tests.support.recordings import Message, calls, result, said, user
from tests.support.replaying import Replaying, candidate, claude, replaying
from tests.support.scripted_model import scripted
from trajectory.errors import OperatorError
from trajectory.ids import trajectory_id
from trajectory.runs import Candidate

LOOK = calls(("c1", "look", '{"id": 7, "deep": true}'))
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("look", "refund")]
QUESTION = [user("where is order 7?")]


def production(messages: list[Message]) -> Message:
    return said("It is in transit.") if messages[-1]["role"] == "tool" else LOOK


def same_but_for_spelling(messages: list[Message]) -> Message:
    if messages[-1]["role"] == "tool":
        return said("It  is in\ntransit.")
    return calls(("other-id", "look", '{"deep":true,"id":7.0}'))


def other(messages: list[Message]) -> Message:
    if messages[-1]["role"] == "tool":
        return calls(("c9", "refund", '{"id": 7}'))
    return calls(("c1", "look", '{"id": 8, "deep": true}'))


SPEAKERS = {"prod-1": production, "good-1": same_but_for_spelling, "bad-1": other}


async def recorded(at: Replaying, session: str = "prod", **fields: object) -> None:
    """The run of production: two model calls, with the tool's result between."""
    await at.ask(session, QUESTION, tools=TOOLS, **fields)
    await at.ask(session, [*QUESTION, LOOK, result("c1", "in transit")], tools=TOOLS, **fields)


@pytest.mark.parametrize("stream", [False, True])
async def test_each_recorded_context_goes_to_the_candidate_once_and_its_action_is_compared(
    tmp_path: Path, stream: bool
) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at, stream=stream)
        before = len(at.model.asked)
        both = (candidate("good"), candidate("bad"))
        bakeoff, runs = await at.bake(at.task("prod"), mode="stepwise", candidates=both)
        assert len(at.model.asked) == before + 4
        sent = [json.loads(body)["messages"] for body in at.model.asked]
        assert sorted(map(len, sent[before:])) == sorted(2 * list(map(len, sent[:before]))), "the true contexts"
        found = {run.candidate.name: run for run in runs}
        good, bad = found["good"].steps, found["bad"].steps
        assert [(one.same_tools, one.same_arguments, one.same_text) for one in good] == [
            (True, True, None),
            (True, None, True),
        ]
        assert [(one.same_tools, one.same_arguments, one.same_text) for one in bad] == [
            (True, False, None),
            (False, None, None),
        ]
        assert [one.candidate.tools for one in bad] == [("look",), ("refund",)]
        assert good[0].recorded.model == "prod-1"
        assert good[0].candidate.model == "good-1"
        assert good[0].candidate.latency_s > 0
        for run in runs:
            assert (run.mode, run.status, run.fingerprint, run.checks) == (
                "stepwise",
                "finished",
                bakeoff.fingerprint,
                (),
            )
            assert run.certificate.is_valid
            assert at.served.store.trajectory(run.trajectory).source == "replay"
            steps = at.served.store.trajectory(run.trajectory).steps
            assert [one.candidate.attempt for one in run.steps] == [step.last.id for step in steps]
        card = score(bakeoff, runs, {})
        rows = {row.candidate: row for row in card.stepwise}
        assert (rows["good"].agreement.value, rows["bad"].agreement.value) == (1.0, 0.0)
        assert "good takes the recorded action in 100.0 %" in card.conclusions[0]


async def test_what_a_candidate_proposes_is_judged_and_never_executed(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS, constraints={"allowed_tools": ["look"]}) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"), mode="stepwise", candidates=(candidate("bad"),))
        assert [one.candidate.violations for one in run.steps] == [(), ("tool_not_allowed",)]
        assert run.steps[1].candidate.tools == ("refund",), "what it wanted is told, though it was refused"
        assert run.served == ()


async def test_a_candidate_that_does_not_answer_is_unknown_and_tried_again_like_by_any_client(tmp_path: Path) -> None:
    said_no = 0

    def busy(messages: list[Message]) -> Message:
        nonlocal said_no
        if messages[-1]["role"] == "tool":
            return {"error": {"message": "no", "status": 400}}
        said_no += 1
        return LOOK if said_no > 2 else {"error": {"message": "slow down", "status": 429}}

    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    async with replaying(tmp_path, {**SPEAKERS, "busy-1": busy}) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"), mode="stepwise", candidates=(candidate("busy"),), pause=pause)
        assert len(paused) == 2
        assert run.steps[0].same_arguments is True
        assert run.steps[1].same_tools is None
        assert not run.steps[1].candidate.is_known
        assert run.steps[1].candidate.error.startswith("failed, HTTP 400")


async def test_recorded_steps_without_an_answer_are_left_out_and_said(tmp_path: Path) -> None:
    refusing = {**SPEAKERS, "prod-1": lambda messages: {"error": {"message": "no", "status": 400}}}
    async with replaying(tmp_path, refusing) as at:
        await recorded(at)
        found = contexts_of(at.served.store, trajectory_id("prod", None))
        assert found.contexts == ()
        assert found.left_out == ("recorded steps without an answer, so not compared: 2",)


async def test_the_candidate_sees_the_pseudonyms_of_the_recording(tmp_path: Path) -> None:
    """Also where it is given them in the recorded text, and not the values."""

    def writes(messages: list[Message]) -> Message:
        address = messages[0]["content"].split()[-1]
        return calls(("c1", "mail", json.dumps({"to": address})))

    redaction = {"policies": {"redaction": {"types": [], "known_values": {"NAME": ["ada@example.org"]}}}}
    async with replaying(tmp_path, {"prod-1": writes, "good-1": writes}, **redaction) as at:
        answer = await at.ask("prod", [user("write to ada@example.org")])
        call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
        assert json.loads(call["arguments"]) == {"to": "ada@example.org"}, "the agent acts on the value"
        _, (run,) = await at.bake(at.task("prod"), mode="stepwise")
        first, again = (json.loads(body)["messages"] for body in at.model.asked)
        assert first == again
        assert "ada@" not in json.dumps(first)
        assert run.steps[0].same_arguments is True


async def test_a_candidate_may_speak_another_wire(tmp_path: Path) -> None:
    other = Candidate(name="claude", upstream="anthropic", model="claude-1", wire="anthropic.messages")
    async with scripted(claude) as model:
        upstreams = {"anthropic": {"base_url": model.url, "wire": "anthropic"}}
        async with replaying(tmp_path, SPEAKERS, upstreams=upstreams) as at:
            await recorded(at)
            _, (run,) = await at.bake(at.task("prod"), mode="stepwise", candidates=(other,))
    assert [(one.same_tools, one.same_arguments, one.same_text) for one in run.steps] == [
        (True, True, None),
        (True, None, True),
    ]
    assert model.paths == ["POST /v1/messages"] * 2


async def test_the_task_of_an_agent_is_run_stepwise_too_and_one_without_a_request_says_so(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        await recorded(at)
        task = at.task("prod").model_copy(update={"launch": None, "request": None})
        with pytest.raises(OperatorError, match="'prod' is to run in a closed loop"):
            await at.bake(task, mode="closed_loop")
        with pytest.raises(OperatorError, match="has no agent command, which mode agent runs"):
            await at.bake(task, mode="agent")
        _, (run,) = await at.bake(task, mode="stepwise")
        assert len(run.steps) == 2
