"""Runs on this machine: as many at once as its memory and processors hold, begun strictly in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Self

import psutil

from replay.executors.admission import Admission, Place
from replay.executors.contract import Job, Keep, Trials

_KEPT_FREE = 0.1


class LocalExecutor:
    def __init__(self, *, memory_mb: float | None = None, cpus: float | None = None) -> None:
        """`memory_mb` defaults to nine tenths of what is available now, `cpus` to those that this process may use."""
        available = psutil.virtual_memory().available / (1024 * 1024)
        self.memory_mb = available * (1 - _KEPT_FREE) if memory_mb is None else memory_mb
        self.cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        self.cpus = self.cpus if cpus is None else cpus

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing outlives a run."""

    async def run(self, jobs: Sequence[Job], trials: Trials, keep: Keep) -> None:
        admission = Admission([Place(self.memory_mb, self.cpus)])

        async def work(job: Job, place: Place) -> None:
            async with admission.held(job, place):
                await keep(await trials.run(job.slot))

        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(work(job, await admission.enter(job)))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
