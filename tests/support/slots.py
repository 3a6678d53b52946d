"""Places in a schedule, told apart by their trial."""

from __future__ import annotations

import sys

from replay.conditions import Slot
from replay.task import AgentCommand, Task
from trajectory.runs import Candidate

CANDIDATE = Candidate(name="c", upstream="openai", model="m")


def slot(number: int, launch: AgentCommand | None = None) -> Slot:
    task = Task(id="t1", name="t1", input="", source="s1", wire="openai.chat", upstream="openai", path="/v1")
    task = task.model_copy(update={"launch": launch})
    return Slot(f"run-{number}", "b1", task, CANDIDATE, number, seed=number)


def agent_slot(program: str) -> Slot:
    """Its agent is a line of Python."""
    return slot(0, AgentCommand(command=(sys.executable, "-I", "-S", "-c", program), cwd="/"))
