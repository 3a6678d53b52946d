"""What production imposed on the recorded model is imposed on a candidate: pseudonyms, retry budget, egress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scoring.faults import classify
from scoring.outcome import Outcome
from tests.support.recordings import Message, calls, result, said, user
from tests.support.replaying import Replaying, replaying
from trajectory.ids import trajectory_id
from trajectory.runs import Limits

NAME = "Ada Byron"
REDACTION: dict[str, Any] = {"policies": {"redaction": {"types": [], "known_values": {"NAME": [NAME]}}}}
QUESTION = [user(f"where is the order of {NAME}?")]


def looks(messages: list[Message]) -> Message:
    """It looks up whoever it is asked about, under the name that it is given."""
    if messages[-1]["role"] == "tool":
        return said(f"It is {messages[-1]['content']}.")
    name = messages[0]["content"].removeprefix("where is the order of ").removesuffix("?")
    return calls(("c1", "look", json.dumps({"name": name})))


async def recorded(at: Replaying) -> None:
    """The agent acts on the value, and tells the model a result with another mention of it."""
    answer = await at.ask("prod", QUESTION)
    message = answer["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"name": NAME}
    await at.ask("prod", [*QUESTION, message, result("c1", f"on its way to {NAME}")])


async def test_in_a_closed_loop_a_candidate_meets_the_pseudonyms_of_the_recording_in_question_and_result(
    tmp_path: Path,
) -> None:
    async with replaying(tmp_path, {"prod-1": looks, "good-1": looks}, **REDACTION) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"))
        production, replay = ([json.loads(body)["messages"] for body in at.model.asked][part] for part in (1, 3))
    assert [one.get("content") for one in replay] == [one.get("content") for one in production]
    assert NAME not in json.dumps(replay)
    assert [one.fidelity for one in run.served] == ["exact"], "its call is the recorded one, to the letter"
    assert NAME not in run.model_dump_json()


async def test_pseudonyms_are_the_same_after_the_proxy_was_started_again(tmp_path: Path) -> None:
    asked: list[str] = []
    for _ in range(2):
        async with replaying(tmp_path, {"prod-1": looks}, **REDACTION) as at:
            await at.ask("prod", QUESTION)
            asked.append(json.loads(at.model.asked[0])["messages"][0]["content"])
    assert asked[0] == asked[1]
    assert NAME not in asked[0]


async def test_the_retry_budget_of_production_holds_for_a_candidate(tmp_path: Path) -> None:
    def busy(_: list[Message]) -> Message:
        return {"error": {"message": "slow down", "status": 429}}

    async def no_pause(_: float) -> None:
        return None

    async with replaying(tmp_path, {"prod-1": looks, "good-1": busy}, constraints={"max_retries": 1}) as at:
        await recorded(at)
        before = len(at.model.asked)
        _, (run,) = await at.bake(at.task("prod"), limits=Limits(max_retries=1), pause=no_pause)
        assert len(at.model.asked) - before == 2, "the first attempt and the one retry that production grants"
        (step,) = at.served.store.trajectory(run.trajectory).steps
    assert [note.code for note in step.last.verdicts] == ["retry_budget_exhausted"]
    assert run.certificate.applied.max_retries == 1
    assert run.certificate.is_valid


async def test_the_egress_budget_of_production_ends_a_candidate_s_run(tmp_path: Path) -> None:
    long = "x" * 300_000

    def talks(messages: list[Message]) -> Message:
        return calls((f"c{len(messages)}", "look", json.dumps({"text": long})))

    limits = {"network_egress_limit_mb": 1}
    async with replaying(tmp_path, {"prod-1": looks, "good-1": talks}, constraints=limits) as at:
        await recorded(at)
        _, (run,) = await at.bake(at.task("prod"), limits=Limits(egress_mb=1))
        production = at.served.store.trajectory(trajectory_id("prod", None))
    assert run.certificate.kill_cause == "egress_budget"
    assert all(not step.last.verdicts for step in production.steps), "the recorded run's budget is its own"


async def test_the_spend_and_context_limits_of_production_hold_for_what_a_candidate_costs(tmp_path: Path) -> None:
    """The candidate is dear, and its recorded rival was not."""

    def endless(messages: list[Message]) -> Message:
        return calls((f"c{len(messages)}", "look", json.dumps({"text": "x" * 2_000})))

    prices = {"prod-1": {"input": 0, "output": 0}, "good-1": {"input": 1, "output": 20}}
    policies = {"spend": {"prices": prices, "assumed_output_tokens": 3_000}}
    models = {"prod-1": looks, "good-1": endless}
    for limits, asked, code in (
        ({"spend_limit_usd": 0.07}, Limits(spend_usd=0.07), "spend_budget_exhausted"),
        ({"context_limit_tokens": 150}, Limits(context_tokens=150), "context_budget_exhausted"),
    ):
        async with replaying(tmp_path, models, constraints=limits, policies=policies) as at:
            await recorded(at)
            _, (run,) = await at.bake(at.task("prod"), limits=asked)
            trajectory = at.served.store.trajectory(run.trajectory)
        assert run.certificate.is_valid
        assert len(trajectory.model_steps) > 1, "it began, and went on until the limit"
        assert [note.code for note in trajectory.model_steps[-1].last.verdicts] == [code]
        fault = classify(run, Outcome(label="failed", evidence="no answer"), trajectory)
        assert fault is not None
        assert (fault.fault_class, fault.code) == ("policy", code)
