from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from replay.conditions import Slot
from replay.executors.contract import Job
from replay.executors.local import LocalExecutor
from tests.support.scored_runs import run
from tests.support.slots import slot
from trajectory.runs import Run


class Floor:
    """Runs that say when they begin, and end when they are told to."""

    def __init__(self) -> None:
        self.running: list[int] = []
        self.began: list[int] = []
        self.kept: list[int] = []
        self.changed = asyncio.Event()
        self.gates: dict[int, asyncio.Event] = {}

    def job(self, number: int, memory_mb: float = 0.0, cpus: float = 1.0) -> Job:
        self.gates[number] = asyncio.Event()
        return Job(slot(number), memory_mb, cpus)

    async def bake(self, executor: LocalExecutor, jobs: list[Job]) -> None:
        await executor.run(jobs, self, self.keep)

    def lost(self, slot: Slot, error: str) -> Run:
        raise AssertionError(f"{slot.run} was lost: {error}")

    async def run(self, slot: Slot) -> Run:
        number = slot.trial
        self.running.append(number)
        self.began.append(number)
        self.changed.set()
        try:
            await self.gates[number].wait()
        finally:
            self.running.remove(number)
        return run(trial=slot.trial)

    async def keep(self, run: Run) -> None:
        self.kept.append(run.trial)

    async def until(self, *running: int) -> None:
        async with asyncio.timeout(10):
            while sorted(self.running) != list(running):
                self.changed.clear()
                await self.changed.wait()


async def settle() -> None:
    """Give everything that could begin now the turns to do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_only_what_fits_in_memory_runs_at_once() -> None:
    floor = Floor()
    jobs = [floor.job(n, memory_mb=400) for n in range(3)]
    whole = asyncio.create_task(floor.bake(LocalExecutor(memory_mb=1000, cpus=8), jobs))
    await floor.until(0, 1)
    await settle()
    assert floor.running == [0, 1]
    floor.gates[0].set()
    await floor.until(1, 2)
    for gate in floor.gates.values():
        gate.set()
    await whole


async def test_only_as_many_run_as_there_are_processors() -> None:
    floor = Floor()
    whole = asyncio.create_task(floor.bake(LocalExecutor(memory_mb=1e6, cpus=2), [floor.job(n) for n in range(4)]))
    await floor.until(0, 1)
    await settle()
    assert floor.running == [0, 1]
    for gate in floor.gates.values():
        gate.set()
    await whole
    assert floor.began == [0, 1, 2, 3]
    assert sorted(floor.kept) == [0, 1, 2, 3]


async def test_exclusive_jobs_never_run_beside_each_other_and_others_do() -> None:
    floor = Floor()
    alone = [replace(floor.job(number), is_exclusive=True) for number in (0, 2)]
    whole = asyncio.create_task(floor.bake(LocalExecutor(cpus=8), [alone[0], floor.job(1), alone[1]]))
    await floor.until(0, 1)
    await settle()
    assert floor.running == [0, 1]
    floor.gates[0].set()
    await floor.until(1, 2)
    for gate in floor.gates.values():
        gate.set()
    await whole


async def test_small_job_does_not_overtake_a_large_one() -> None:
    floor = Floor()
    jobs = [floor.job(0, 600), floor.job(1, 600), floor.job(2, 10)]
    whole = asyncio.create_task(floor.bake(LocalExecutor(memory_mb=1000, cpus=8), jobs))
    await floor.until(0)
    await settle()
    assert floor.running == [0]
    for gate in floor.gates.values():
        gate.set()
    await whole
    assert floor.began == [0, 1, 2]


async def test_job_larger_than_the_machine_runs_alone() -> None:
    floor = Floor()
    jobs = [floor.job(0, 10), floor.job(1, 9999), floor.job(2, 10)]
    whole = asyncio.create_task(floor.bake(LocalExecutor(memory_mb=100, cpus=8), jobs))
    await floor.until(0)
    floor.gates[0].set()
    await floor.until(1)
    await settle()
    assert floor.running == [1]
    floor.gates[1].set()
    floor.gates[2].set()
    await whole


async def test_failure_cancels_the_others_and_is_told_as_it_was() -> None:
    floor = Floor()

    async def keep(run: Run) -> None:
        raise OSError("the store is gone")

    jobs = [floor.job(0), floor.job(1), floor.job(2)]
    whole = asyncio.create_task(LocalExecutor(memory_mb=100, cpus=8).run(jobs, floor, keep))
    await floor.until(0, 1, 2)
    floor.gates[1].set()
    with pytest.raises(OSError, match="the store is gone"):
        await whole
    assert floor.running == []
