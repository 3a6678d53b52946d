"""What every executor does: run the jobs of a bake-off, as many at once as fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from replay.conditions import Slot
from trajectory.runs import Run


@dataclass(frozen=True, slots=True)
class Job:
    """One run. `memory_mb` is reserved for it (its kill limit, 0 where there is none), and `cpus` processors. Exclusive
    ones never run beside each other, wherever they run: they change the same files.
    """

    slot: Slot
    memory_mb: float = 0.0
    cpus: float = 1.0
    is_exclusive: bool = False


class Trials(Protocol):
    """How the runs of bake-offs are made."""

    async def run(self, slot: Slot) -> Run:
        """Handles its own errors; what it raises all the same ends the bake-off."""
        ...

    def lost(self, slot: Slot, error: str) -> Run:
        """The run of a job of which nothing came back: a harness error."""
        ...


Keep = Callable[[Run], Awaitable[None]]
"""Called once for each job, as soon as its run is over. What it raises ends the bake-off."""


class Executor(Protocol):
    """Entered for as long as it has jobs: what it starts for the first of them is there for all."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def run(self, jobs: Sequence[Job], trials: Trials, keep: Keep) -> None:
        """Run all jobs, beginning them strictly in order. When one raises, the others are cancelled.

        `trials` belongs to this process; an executor with workers has each of them make its own.
        """
        ...
