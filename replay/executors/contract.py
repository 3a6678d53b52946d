"""What every executor does: run the jobs of a bake-off, as many at once as fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from replay.trial import Slot
from trajectory.runs import Run


@dataclass(frozen=True, slots=True)
class Job:
    """One run. `memory_mb` is reserved for it (its kill limit, 0 where there is none), and `cpus` processors."""

    slot: Slot
    memory_mb: float = 0.0
    cpus: float = 1.0


Trial = Callable[[Slot], Awaitable[Run]]
"""Handles its own errors; what it raises all the same ends the bake-off."""
Keep = Callable[[Run], Awaitable[None]]
"""Called once for each job, as soon as its run is over. What it raises ends the bake-off."""


class Executor(Protocol):
    async def run(self, jobs: Sequence[Job], trial: Trial, keep: Keep) -> None:
        """Run all jobs, beginning them strictly in order. When one raises, the others are cancelled.

        `trial` runs in this process; an executor with workers of its own has each of them make one like it.
        """
        ...
