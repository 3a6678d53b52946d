"""Live tools and made-up results in bake-offs through a real gateway."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from replay.task import Task
from replay.world.declared import open_worlds, read_worlds, with_permission
from scoring.outcome import decide
from tests.support import fresh_shop
from tests.support.mcp_server import mcp_server
from tests.support.processes import PYTHON
from tests.support.recordings import Message, calls, record, result, said, user
from tests.support.replaying import Replaying, Speak, replaying
from trajectory.errors import OperatorError
from trajectory.memory import MemoryStore
from trajectory.runs import Run

ADD = ("c1", "add", '{"a": 2, "b": 3}')
SHELL = ("c2", "shell_exec", '{"command": "rm"}')
TASK = Task(id="t", name="t", input="", source="s", wire="openai.chat", upstream="o", path="/v1")


def adds_then_shells(messages: list[Message]) -> Message:
    done = sum(message["role"] == "tool" for message in messages)
    return (calls(ADD), calls(SHELL), said(f"It is {messages[-1].get('content')}."))[done]


def stand_in(messages: list[Message]) -> Message:
    shown = json.loads(messages[1]["content"])
    return said(f"{shown['next call']['tool']} after {len(shown['this run so far'])}")


async def recorded(at: Replaying) -> Task:
    asked = [user("what is 2 + 3?")]
    functions = ({"name": name, "description": "d"} for name in ("add", "shell_exec"))
    definitions = [{"type": "function", "function": one} for one in functions]
    await at.ask("prod", asked, tools=definitions)
    await at.ask("prod", [*asked, calls(ADD), result("c1", "5")], tools=definitions)
    return at.task("prod")


async def baked(at: Replaying, *worlds: str, **rest: Any) -> Run:
    _, (run,) = await at.bake(await recorded(at), world=worlds, **rest)
    return run


SPEAKERS: dict[str, Speak] = {"prod-1": adds_then_shells, "good-1": adds_then_shells, "writer-1": stand_in}


async def test_only_what_was_allowed_is_called_for_real_under_policy_and_recorded(tmp_path: Path) -> None:
    async with mcp_server() as server:
        upstreams = {"demo": {"base_url": server.url, "kind": "mcp"}}
        async with replaying(tmp_path, SPEAKERS, upstreams=upstreams) as at:
            run = await baked(at, *with_permission(["live?upstream=demo"], ["add", "get_*"]))
            store = at.served.store
            kept = [store.trajectory(one.id) for one in store.find() if one.session != "prod"]
    assert server.calls == [("add", {"a": 2, "b": 3})]
    assert [(one.tool, one.fidelity) for one in run.served] == [("add", "live"), ("shell_exec", "missing")]
    assert "only add, get_* may be called live" in run.served[1].note
    assert [step.last.tool.name for one in kept for step in one.steps if step.last.tool] == ["add"]
    assert {one.source for one in kept} == {"replay"}, "what a replay calls is no production"


async def test_policies_hold_for_live_tools(tmp_path: Path) -> None:
    async with mcp_server() as server:
        upstreams = {"demo": {"base_url": server.url, "kind": "mcp"}}
        constraints = {"allowed_tools": ["contact"]}
        async with replaying(tmp_path, SPEAKERS, upstreams=upstreams, constraints=constraints) as at:
            run = await baked(at, "live?upstream=demo&allow=*")
    assert server.calls == []
    assert "live" not in {one.fidelity for one in run.served if not one.is_error}


async def test_a_fresh_tool_answers_a_bake_off(tmp_path: Path) -> None:
    (tmp_path / "orders.json").write_text('{"7": {"id": "7", "status": "open"}}')
    program = shlex.join((*PYTHON[:-1], fresh_shop.__file__, "pipes", str(tmp_path / "orders.json")))

    def looks(messages: list[Message]) -> Message:
        if messages[-1]["role"] == "tool":
            return said(messages[-1]["content"])
        return calls(("c1", "get_order", '{"id": "7"}'))

    speakers: dict[str, Speak] = {"prod-1": looks, "good-1": looks}
    async with replaying(tmp_path, speakers) as at:
        await at.ask("prod", [user("?")])
        _, (run,) = await at.bake(at.task("prod"), world=(f"mcp:{program}",))
    assert run.answer == '{"id": "7", "status": "open"}'
    assert [one.fidelity for one in run.served] == ["live"]


async def test_made_up_results_are_a_class_of_their_own_and_faithful_to_nothing(tmp_path: Path) -> None:
    async with replaying(tmp_path, SPEAKERS) as at:
        run = await baked(at, "tape", "written?upstream=openai&model=writer-1", min_fidelity=0.6)
        asked = [json.loads(body) for body in at.model.asked]
        store = at.served.store
        sources = {store.trajectory(one.id).source for one in store.find() if one.session != "prod"}
    assert [(one.tool, one.fidelity) for one in run.served] == [("add", "exact"), ("shell_exec", "written")]
    assert run.served[1].note == "made up by writer-1"
    assert run.answer == "It is shell_exec after 1."
    shown = json.loads(next(one for one in asked if one["model"] == "writer-1")["messages"][1]["content"])
    assert shown["definition"]["description"] == "d"
    assert shown["recorded"] == [{"tool": "add", "arguments": ADD[2], "result": "5"}]
    assert sources == {"replay"}
    outcome = decide(run)
    assert outcome.is_below_min_fidelity
    assert "1 written by a model" in outcome.evidence


async def test_what_the_writer_does_not_know_is_missing_and_its_failure_is_nobody_s_result(tmp_path: Path) -> None:
    def refuses(messages: list[Message]) -> Message:
        return {"error": {"message": "no", "status": 400}}

    async def no_pause(_: float) -> None: ...

    async with replaying(tmp_path, {**SPEAKERS, "writer-1": refuses}) as at:
        run = await baked(at, "written?upstream=openai&model=writer-1", pause=no_pause)
        world = await open_worlds(
            ["written?upstream=openai&model=writer-1"], at.served.store, [at.task("prod")], house=at.house
        )["prod"].start(0)
        unknown = await world.answer("other_tool", "{}")
        await world.close()
    assert (run.status, "writer-1 wrote no result: HTTP 400" in run.error) == ("harness_error", True)
    assert unknown.is_missing
    assert "it has add, shell_exec" in unknown.served.note


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("live?upstream=x", "does not say allow"),
        ("live", "does not say upstream and allow"),
        ("live?upstream=x&allow=", "does not say allow"),
        ("live?upstream=x&allow=a&as=smoke", "as is mcp or http"),
        ("written?upstream=x", "does not say model"),
        ("written?upstream=x&model=m&more=1", "unknown option 'more'"),
    ],
)
def test_what_is_not_permitted_or_not_said_is_refused(text: str, said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        read_worlds([text])


def test_a_permission_goes_with_the_live_world_and_with_no_other() -> None:
    assert with_permission(["tape", "live?upstream=x"], ["a", "b*"]) == ("tape", "live?upstream=x&allow=a,b*")
    assert with_permission(["tape"], []) == ("tape",)
    with pytest.raises(OperatorError, match="none is declared"):
        with_permission(["tape"], ["a"])


def test_what_is_asked_through_a_gateway_needs_one() -> None:
    store = MemoryStore()
    record(store, "s", [user("?"), said("!")])
    with pytest.raises(OperatorError, match="needs a running gateway"):
        open_worlds(["live?upstream=x&allow=a"], store, [TASK])
