"""Bake-offs small enough for a test: two candidates, tasks of one line, a house that is scripted."""

from __future__ import annotations

from typing import Any

from replay.bakeoff import Progress, run_bakeoff
from replay.building import build_task
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.plan import Plan
from replay.task import AgentCommand, ExpectedAnswer, Task
from tests.support.processes import PYTHON
from tests.support.recordings import Message, ScriptedHouse, calls, record, result, said, user
from trajectory.memory import MemoryStore
from trajectory.runs import Bakeoff, Candidate, Run

GOOD = Candidate(name="good", upstream="openai", model="good-1", parameters={"temperature": 0.0})
BAD = Candidate(name="bad", upstream="openai", model="bad-1")
LOOK = ("c1", "look", '{"id":7}')


def loop_task(store: MemoryStore, name: str = "order-7") -> Task:
    conversation = [user("where is order 7?"), calls(LOOK), result("c1", "in transit"), said("It is in transit.")]
    record(store, f"prod-{name}", conversation, task=name)
    store.label(f"prod-{name}", "passed", "seen by hand")
    task = build_task(store, f"prod-{name}", checks=lambda _: (ExpectedAnswer(answer="in transit", match="contains"),))
    assert isinstance(task, Task)
    return task


def agent_task(program: str, *checks: Any, name: str = "agent-task", cwd: str = "/") -> Task:
    return Task(
        id=name,
        name=name,
        input="",
        source=f"prod-{name}",
        wire="openai.chat",
        upstream="openai",
        path="/v1",
        model="prod-1",
        launch=AgentCommand(command=(*PYTHON, program), cwd=cwd),
        checks=checks,
    )


def good(messages: list[Message]) -> tuple[int, Message]:
    if messages[-1]["role"] == "tool":
        return 200, said(f"It is {messages[-1]['content']}.")
    return 200, calls(LOOK)


def bad(messages: list[Message]) -> tuple[int, Message]:
    if messages[-1]["role"] == "tool":
        return 200, said("I could not find it.")
    return 200, calls(("c1", "look", '{"id":8}'))


def plan(*tasks: Task, **rest: Any) -> Plan:
    fields: dict[str, Any] = {"id": "b1", "candidates": (GOOD, BAD), "tasks": tasks, "reference": None, "seed": 1}
    return Plan(**{**fields, **rest})


async def bake(asked: Plan, house: ScriptedHouse, seen: list[Progress] | None = None) -> Bakeoff:
    return await run_bakeoff(
        asked,
        house,
        cage=PortableCage(),
        executor=LocalExecutor(cpus=2),
        progress=lambda one: seen.append(one) if seen is not None else None,
    )


def by_candidate(house: ScriptedHouse, bakeoff: str = "b1") -> dict[str, Run]:
    return {run.candidate.name: run for run in house.store.runs(bakeoff)}
