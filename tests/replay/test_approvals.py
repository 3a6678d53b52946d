"""Calls that wait for a person, in replays: what was decided then decides, and what nobody decided is said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.approvals import Decision
from replay.approvals import RecordedApprovals, Unmatched, decisions_of
from replay.bakeoff import begin
from replay.cage.process import PortableCage
from replay.conditions import Around
from scoring.score import score
from tests.support.approving import People
from tests.support.asking import ALLOWED, DENIED, asked
from tests.support.baking import agent_task, plan
from tests.support.recordings import Message, ScriptedHouse, calls, result, said, user
from tests.support.replaying import Replaying, candidate, replaying
from trajectory.memory import MemoryStore
from trajectory.runs import Approvals, Run

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("pay", "look")]
POLICIES = {"approvals": {"tools": {"pay": {}}, "timeout_s": 60}}
QUESTION = [user("pay acme")]


def payer(**arguments: Any) -> Any:
    """A model that pays once, with these arguments, and says what came of it."""
    paid = calls(("c1", "pay", json.dumps(arguments)))

    def speak(messages: list[Message]) -> Message:
        if messages[-1]["role"] == "tool":
            return said("It is paid.")
        return paid if messages[-1] == QUESTION[-1] else said("It is not paid.")

    return speak


async def produced(at: Replaying, decision: Decision) -> None:
    """A production run in which a person decided so on paying acme 100."""
    at.served.doors.hall.approver = People(lambda _: decision)
    first = await at.ask("prod", QUESTION, model="prod-1", tools=TOOLS)
    message = first["choices"][0]["message"]
    if message.get("tool_calls"):
        await at.ask("prod", [*QUESTION, message, result("c1", "paid")], model="prod-1", tools=TOOLS)
    at.served.doors.hall.approver = People()  # nobody sits there now: what gets through to them never ends


async def replayed(
    folder: Path, decision: Decision, *names: str, approvals: Unmatched = "recorded"
) -> tuple[Any, dict[str, Run]]:
    speakers = {
        "prod-1": payer(to="acme", cents=100),
        "same-1": payer(cents=100, to="acme"),
        "other-1": payer(to="mallory", cents=100),
    }
    async with replaying(folder, speakers, policies=POLICIES) as at:
        await produced(at, decision)
        candidates = tuple(candidate(name) for name in names)
        task = at.task("prod")
        bakeoff, runs = await asyncio.wait_for(at.bake(task, candidates=candidates, approvals=approvals), 30)
        assert not at.served.doors.hall.approvers, "each session's approver goes with it"
        trajectories = {run.trajectory: at.served.store.trajectory(run.trajectory) for run in runs}
        return score(bakeoff, runs, trajectories), {run.candidate.name: run for run in runs}


async def test_the_same_call_gets_the_recorded_decision_whatever_its_spelling(tmp_path: Path) -> None:
    card, runs = await replayed(tmp_path, ALLOWED, "same")
    assert runs["same"].approvals == Approvals(recorded=1)
    assert runs["same"].answer == "It is paid."
    assert [one.kind for one in card.cautions if one.kind == "approvals_unmatched"] == []


async def test_what_was_denied_is_denied_by_the_same_person(tmp_path: Path) -> None:
    _, runs = await replayed(tmp_path, DENIED, "same")
    assert runs["same"].approvals == Approvals(recorded=1)
    assert "bob has denied it: not on a Friday" in (runs["same"].answer or "")


async def test_a_call_that_found_the_desk_full_was_decided_by_nobody(tmp_path: Path) -> None:
    _, runs = await replayed(tmp_path, Decision("denied", "the desk", "the desk is full"), "same")
    assert runs["same"].approvals == Approvals(unmatched=1)


@pytest.mark.parametrize(
    ("approvals", "answer", "counted"),
    [
        ("recorded", "replay: nobody was asked has denied it", Approvals(unmatched=1)),
        ("deny", "replay: --approvals deny has denied it", Approvals(unmatched=1)),
        ("allow", "It is paid.", Approvals(unmatched=1, unmatched_allowed=True)),
    ],
)
async def test_another_call_is_decided_as_asked_for_and_the_report_says_so(
    tmp_path: Path, approvals: Unmatched, answer: str, counted: Approvals
) -> None:
    card, runs = await replayed(tmp_path, ALLOWED, "other", approvals=approvals)
    assert answer in (runs["other"].answer or "")
    assert runs["other"].approvals == counted
    (caution,) = [one for one in card.cautions if one.kind == "approvals_unmatched"]
    assert caution.text.startswith("other: 1 call that had to wait for a person had no decision in the recorded run: ")
    assert ("allowed" in caution.text) == (approvals == "allow")


async def test_how_others_are_decided_belongs_to_what_must_be_equal(tmp_path: Path) -> None:
    card, _ = await replayed(tmp_path / "a", ALLOWED, "same")
    allowing, _ = await replayed(tmp_path / "b", ALLOWED, "same", approvals="allow")
    assert "approvals" not in card.bakeoff.fingerprint_parts
    assert "approvals" in allowing.bakeoff.fingerprint_parts


async def test_decisions_are_given_in_their_order_and_the_last_one_stands() -> None:
    recorded = {"identity-1": [Decision("timed_out"), ALLOWED]}
    people = RecordedApprovals(lambda: recorded, "recorded")
    outcomes = [(await people.decide(asked(number, identity="identity-1"))).outcome for number in range(3)]
    assert outcomes == ["timed_out", "allowed", "allowed"]
    assert people.given() == Approvals(recorded=3)


async def test_a_run_in_which_nobody_is_asked_reads_nothing_and_says_nothing() -> None:
    people = RecordedApprovals(lambda: pytest.fail("read"), "recorded")
    assert people.given() is None


async def test_questions_at_once_are_answered_one_by_one() -> None:
    loads: list[int] = []

    def load() -> dict[str, list[Decision]]:
        loads.append(1)
        return {"identity-1": [DENIED, ALLOWED]}

    people = RecordedApprovals(load, "recorded")
    decided = await asyncio.gather(*(people.decide(asked(n, identity="identity-1")) for n in range(2)))
    assert ([one.outcome for one in decided], loads) == (["denied", "allowed"], [1])


async def test_what_was_withdrawn_was_decided_by_nobody(tmp_path: Path) -> None:
    async with replaying(tmp_path, {"prod-1": payer(to="acme")}, policies=POLICIES) as at:
        people = People()
        at.served.doors.hall.approver = people
        asking = asyncio.ensure_future(at.ask("prod", QUESTION, model="prod-1", tools=TOOLS))
        await people.question()
        at.served.doors.gateway.asking.close()
        await asking
        at.served.doors.gateway.asking = type(at.served.doors.gateway.asking)()
        assert decisions_of(at.served.store, at.task("prod")) == {}


async def test_agents_and_checks_in_the_cage_do_not_inherit_the_approvals_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IRONCAGE_APPROVALS_TOKEN", "a-token-of-the-operator")
    around = Around(ScriptedHouse(MemoryStore(), {}), PortableCage())
    begun = await begin([plan(agent_task("pass"))], around)
    env = begun.conditions["b1"].env
    assert "PATH" in env
    assert "a-token-of-the-operator" not in env.values()
