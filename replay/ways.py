"""The ways to run a task again, and what each of them needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replay.task import Task
from replay.transcript import LOOP_WIRES
from replay.world.declared import read_worlds
from trajectory.runs import Candidate, Mode

WITHOUT_PRODUCTION: frozenset[Mode] = frozenset({"stepwise", "offline"})
"""Here the recorded run is what is compared with, step by step, and no candidate beside the others."""
TAPE = Candidate(name="tape", upstream="tape", model="recorded answers")
"""What stands for the candidate of an offline replay: what is tried there is the agent's own code."""
IN_CAGE: frozenset[Mode] = frozenset({"agent", "offline"})
PROMPT_ON_THE_WAY: frozenset[Mode] = frozenset({"agent", "stepwise"})
"""Here requests come with the prompt that was recorded, or an agent's own, and another one is put in at the proxy."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a task cannot be run in a mode, and what to do."""

    what: str
    hint: str


def mode_of(task: Task, asked: Mode | None) -> Mode:
    """A task that was recorded with its agent's command runs that, any other in the engine's loop."""
    return asked or task.mode


def in_mode(task: Task, asked: Mode | None) -> Task:
    """The task without what this mode does not use: its agent's command, where the engine asks in its place."""
    return task if mode_of(task, asked) in IN_CAGE else task.model_copy(update={"launch": None})


def files_change_in(worlds: Sequence[str]) -> frozenset[Mode]:
    """The modes in which something is executed: an agent's command, or a tool of one of the worlds."""
    return IN_CAGE | {"closed_loop"} if any(one.executes for one in read_worlds(worlds)) else IN_CAGE


def obstacle(task: Task, asked: Mode | None) -> Obstacle | None:
    mode = mode_of(task, asked)
    record = "record it with `ironcage run -- COMMAND`, so that its command is known"
    if mode in IN_CAGE and task.launch is None:
        return Obstacle(f"task {task.id!r} has no agent command, which mode {mode} runs", record)
    if mode == "closed_loop" and (task.request is None or task.wire not in LOOP_WIRES):
        said = "has no agent command" if asked is None else "is to run in a closed loop"
        return Obstacle(f"task {task.id!r} {said}, and the engine's own loop does not speak {task.wire}", record)
    return None
