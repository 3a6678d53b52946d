"""What the runs of a bake-off have in common, and the place of each in its schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy.prompting import PromptSwap
from replay.approvals import Unmatched
from replay.cage.contract import Cage
from replay.house import House
from replay.loop import MAX_STEPS, Pause
from replay.reset import Reset
from replay.task import Task
from replay.world.contract import Snapshot
from trajectory.clock import SYSTEM_CLOCK, Clock, Entropy, system_entropy
from trajectory.runs import Candidate, Limits, Mode

Workspace = Literal["shared", "copy"]
"""shared: every run works in the folder in which the task was recorded; copy: each in a copy of its own."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all runs of a bake-off have in common. `env` is the environment of agents and checks, before the house
    lays its variables over it; `parts` are those of the fingerprint that the house states.
    """

    bakeoff: str
    fingerprint: str
    parts: Mapping[str, str]
    limits: Limits
    house: House
    cage: Cage
    env: Mapping[str, str]
    worlds: Mapping[str, Snapshot] = field(default_factory=dict)
    min_fidelity: float | None = None
    from_step: int = 1
    tape_tools: bool = False
    prompts: Mapping[str, PromptSwap] = field(default_factory=dict)
    approvals: Unmatched = "recorded"
    workspace: Workspace = "shared"
    reset: Reset | None = None
    reset_in: frozenset[Mode] = frozenset()
    """The modes that change what is reset: their trials run one after the other."""
    max_steps: int = MAX_STEPS
    clock: Clock = SYSTEM_CLOCK
    entropy: Entropy = system_entropy
    pause: Pause = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Around:
    """What all bake-offs of one process have in common."""

    house: House
    cage: Cage
    clock: Clock = SYSTEM_CLOCK
    entropy: Entropy = system_entropy
    pause: Pause = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in the schedule of a bake-off. `seed` is the same for all candidates of a task and trial; `asked_mode`
    None leaves the way to run it to the task.
    """

    run: str
    bakeoff: str
    task: Task
    candidate: Candidate
    trial: int
    seed: int
    asked_mode: Mode | None = None

    @property
    def mode(self) -> Mode:
        return self.asked_mode or self.task.mode
