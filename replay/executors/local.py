"""Runs on this machine: as many at once as its memory and processors hold, begun strictly in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import psutil

from replay.executors.contract import Job

_KEPT_FREE = 0.1


class LocalExecutor:
    """A job waits until its reservation fits beside those that run; the jobs behind it wait with it, so that the
    order of a randomised schedule holds. A job larger than the whole machine runs alone.
    """

    def __init__(self, *, memory_mb: float | None = None, cpus: float | None = None) -> None:
        """`memory_mb` defaults to nine tenths of what is available now, `cpus` to those that this process may use."""
        available = psutil.virtual_memory().available / (1024 * 1024)
        self.memory_mb = available * (1 - _KEPT_FREE) if memory_mb is None else memory_mb
        self.cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        self.cpus = self.cpus if cpus is None else cpus

    async def run(self, jobs: Sequence[Job]) -> None:
        room = asyncio.Condition()
        running: list[Job] = []

        def fits(job: Job) -> bool:
            memory = sum(other.memory_mb for other in running) + job.memory_mb
            cpus = sum(other.cpus for other in running) + job.cpus
            return not running or (memory <= self.memory_mb and cpus <= self.cpus)

        async def work(job: Job) -> None:
            try:
                await job.work()
            finally:
                running.remove(job)
                async with room:
                    room.notify()

        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    async with room:
                        await room.wait_for(lambda job=job: fits(job))  # type: ignore[misc]
                    running.append(job)
                    group.create_task(work(job))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
