"""What every executor does: run the jobs of a bake-off, as many at once as fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Job:
    """One run. `memory_mb` is reserved for it (its kill limit, 0 where there is none), and `cpus` processors.

    `work` handles its own errors; what it raises all the same ends the bake-off.
    """

    work: Callable[[], Awaitable[None]]
    memory_mb: float = 0.0
    cpus: float = 1.0


class Executor(Protocol):
    async def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs, beginning them strictly in order. When one raises, the others are cancelled."""
        ...
