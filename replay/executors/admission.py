"""Which jobs may run beside each other in one place: they begin strictly in order, each once its reservation fits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from replay.executors.contract import Job


class Place:
    """Memory and processors of one machine or worker. A job larger than the whole place runs there alone."""

    def __init__(self, memory_mb: float, cpus: float) -> None:
        self.memory_mb = memory_mb
        self.cpus = cpus
        self._running: list[Job] = []

    def fits(self, job: Job) -> bool:
        memory = sum(other.memory_mb for other in self._running) + job.memory_mb
        cpus = sum(other.cpus for other in self._running) + job.cpus
        return not self._running or (memory <= self.memory_mb and cpus <= self.cpus)

    @property
    def has_exclusive(self) -> bool:
        return any(job.is_exclusive for job in self._running)

    def take(self, job: Job) -> None:
        self._running.append(job)

    def leave(self, job: Job) -> None:
        self._running.remove(job)


class Admission[P: Place]:
    """Several places with one queue before them. The jobs behind one that waits wait with it."""

    def __init__(self, places: list[P]) -> None:
        self.places = places
        self._changed = asyncio.Condition()

    async def enter(self, job: Job) -> P:
        """Wait until `job` fits somewhere, and take its room there. The caller calls one after the other."""
        async with self._changed:
            while (place := self._room_for(job)) is None:
                await self._changed.wait()
            place.take(job)
            return place

    @asynccontextmanager
    async def held(self, job: Job, place: P) -> AsyncIterator[None]:
        """Gives the room back at the end."""
        try:
            yield
        finally:
            place.leave(job)
            async with self._changed:
                self._changed.notify()

    def _room_for(self, job: Job) -> P | None:
        if job.is_exclusive and any(place.has_exclusive for place in self.places):
            return None
        return next((place for place in self.places if place.fits(job)), None)
