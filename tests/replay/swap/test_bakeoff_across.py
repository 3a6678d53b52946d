"""Whole bake-offs whose candidates speak different wire formats, through a real gateway."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from ironcage.bakeoff_house import BakeoffHouse
from replay.bakeoff import run_bakeoff
from replay.building import build_task
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.plan import Plan
from replay.swap.dialects import DIALECTS
from replay.task import AgentCommand, ExpectedAnswer, Task
from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.score import score
from tests.support.gateway import Served, serve
from tests.support.processes import PYTHON
from tests.support.providers import Provider, Turn, provider
from tests.support.sdk_agents import AGENTS
from trajectory.errors import OperatorError
from trajectory.ids import trajectory_id
from trajectory.runs import Bakeoff, Candidate, Run

TURNS = (Turn("I look.", (("look", {"id": 1}), ("look", {"id": 2}))), Turn("Both are in transit."))
CHECK = ExpectedAnswer(answer="in transit", match="contains")
OTHER = {
    "openai.chat": "gemini.generate",
    "openai.responses": "anthropic.messages",
    "anthropic.messages": "openai.responses",
    "gemini.generate": "openai.chat",
}


async def bake(served: Served, task: Task, *candidates: Candidate, **rest: Any) -> tuple[Bakeoff, dict[str, Run]]:
    plan = Plan(id="b1", candidates=candidates, tasks=(task,), reference=None, seed=3, **rest)
    house = BakeoffHouse(served.doors)
    bakeoff = await run_bakeoff(plan, house, cage=PortableCage(), executor=LocalExecutor(cpus=2))
    return bakeoff, {run.candidate.name: run for run in served.store.runs("b1")}


def upstreams(**providers: Provider) -> dict[str, Any]:
    return {name: {"base_url": one.url} for name, one in providers.items()}


@pytest.mark.parametrize("wire", DIALECTS)
async def test_loop_carries_on_tasks_of_every_wire_with_candidates_of_its_own_and_of_another(
    tmp_path: Path, wire: str
) -> None:
    async with AsyncExitStack() as stack:
        prod = await stack.enter_async_context(provider(wire, *TURNS, strict=False))
        same = await stack.enter_async_context(provider(wire, *TURNS, strict=False))
        other = await stack.enter_async_context(provider(OTHER[wire], *TURNS))
        gateway = serve(tmp_path, upstreams=upstreams(prod=prod, same=same, other=other))
        served = await stack.enter_async_context(gateway)
        await AGENTS[wire](served.url("prod", "prod-1"), False)
        task = build_task(served.store, trajectory_id("prod-1", None), checks=lambda _: (CHECK,))
        assert isinstance(task, Task), task
        assert (task.wire, task.mode) == (wire, "closed_loop")
        bakeoff, runs = await bake(
            served,
            task,
            Candidate(name="same", upstream="same", model="m-1"),
            Candidate(name="other", upstream="other", model="m-2", wire=OTHER[wire], parameters={"temperature": 0.25}),
        )
    for run in runs.values():
        assert run.status == "finished", run.error
        assert [check.passed for check in run.checks] == [True], run.certificate.notes
        assert {one.fidelity for one in run.served} <= {"exact", "canonical"}, "both calls are on the tape"
        assert len(run.served) == 2
        assert run.fingerprint == bakeoff.fingerprint
    assert runs["same"].losses == ()
    assert {"reasoning", "parameter"} & {loss.kind for loss in runs["other"].losses}
    assert "0.25" in json.dumps(other.asked[0]), "parameters are set as the candidate's format has them"
    assert "0.25" not in json.dumps(same.asked)
    has_seed = wire in ("openai.chat", "gemini.generate")
    assert all(("seed" in json.dumps(body)) == has_seed for body in same.asked), "the other APIs refuse one"


AGENT = """
import json, os, urllib.request
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
messages = [{"role": "user", "content": "Where is 1?"}]
tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
while True:
    body = json.dumps({"model": "prod", "messages": messages, "tools": tools, "logit_bias": {"1": 2}}).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json", "Authorization": "Bearer agent-key"})
    message = json.load(urllib.request.urlopen(asked))["choices"][0]["message"]
    messages.append(message)
    for call in message.get("tool_calls") or ():
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": "in transit"})
    if not message.get("tool_calls"):
        print(message["content"])
        break
"""


async def test_agents_command_runs_on_candidates_of_two_wires_and_the_report_names_what_was_lost(
    tmp_path: Path,
) -> None:
    task = Task(
        id="t", name="t", input="", source="prod-1", wire="openai.chat", upstream="openai",
        path="/v1/chat/completions", launch=AgentCommand(command=(*PYTHON, AGENT), cwd=str(tmp_path)), checks=(CHECK,),
    )  # fmt: skip
    one = Candidate(name="one", upstream="openai", model="m-1", wire="openai.chat")
    two = Candidate(name="two", upstream="anthropic", model="m-2", wire="anthropic.messages")
    async with (
        provider("openai.chat", *TURNS, strict=False) as chat,
        provider("anthropic.messages", *TURNS) as messages,
        serve(tmp_path, upstreams=upstreams(openai=chat, anthropic=messages)) as served,
    ):
        bakeoff, runs = await bake(served, task, one, two)
        trajectories = {run.trajectory: served.store.trajectory(run.trajectory) for run in runs.values()}
    card = score(bakeoff, list(runs.values()), trajectories)
    assert [check.passed for name in ("one", "two") for check in runs[name].checks] == [True, True]
    assert {run.fingerprint for run in runs.values()} == {bakeoff.fingerprint}
    assert runs["one"].losses == ()
    assert ("parameter", "logit_bias") in {(loss.kind, loss.where) for loss in runs["two"].losses}
    assert {one["model"] for one in messages.asked} == {"m-2"}
    for report in (render_markdown(card), render_html(card)):
        assert "Lost between wire formats" in report
        assert "logit" in report
        assert "speaks anthropic.messages" in report
    assert [row.losses for row in card.runs if row.candidate == "two"] == [runs["two"].losses]


async def test_candidate_of_a_wire_that_is_not_translated_is_refused_before_anything_runs(tmp_path: Path) -> None:
    task = Task(
        id="t", name="t", input="", source="s", wire="bedrock.converse", upstream="b", path="/", request="{}",
        launch=AgentCommand(command=("true",), cwd="/"),
    )  # fmt: skip
    async with serve(tmp_path, upstreams={"u": {"base_url": "http://127.0.0.1:9"}}) as served:
        with pytest.raises(OperatorError, match="no translation into 'morse'"):
            await bake(served, task, Candidate(name="c", upstream="u", model="m", wire="morse"))
        with pytest.raises(OperatorError, match="which is not translated"):
            await bake(served, task, Candidate(name="c", upstream="u", model="m", wire="openai.chat"))


async def test_steps_of_a_recorded_run_are_put_to_a_candidate_of_another_wire(tmp_path: Path) -> None:
    async with (
        provider("anthropic.messages", *TURNS, strict=False) as prod,
        provider("openai.chat", *TURNS, strict=False) as other,
        serve(tmp_path, upstreams=upstreams(prod=prod, other=other)) as served,
    ):
        await AGENTS["anthropic.messages"](served.url("prod", "prod-1"), False)
        task = build_task(served.store, trajectory_id("prod-1", None))
        assert isinstance(task, Task), task
        candidate = Candidate(name="other", upstream="other", model="m-2", wire="openai.chat")
        _, runs = await bake(served, task, candidate, mode="stepwise")
    run = runs["other"]
    assert run.status == "finished", run.error
    assert [(step.same_tools, step.same_arguments) for step in run.steps] == [(True, True), (True, None)]
    assert "sig-of" not in json.dumps(other.asked), "the recorded model's signed thoughts go to no other model"
    assert "reasoning" in {loss.kind for loss in run.losses}
