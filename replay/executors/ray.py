"""Runs on a Ray cluster: one worker for each processor, each with a house of its own, all writing to one store.

Cluster and workers are started with the first job, and stay until the executor is left.

Ray only places the workers and says when one is lost. It retries nothing: what may be tried again is decided here, for
a run of which nothing came back, and nowhere else. Its usage statistics are switched off.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, redirect_stdout
from typing import Any, Self

from replay.executors.admission import Admission, Place
from replay.executors.contract import Job, Keep, Trials
from trajectory.errors import OperatorError
from trajectory.runs import Run

OpenTrials = Callable[[], AbstractAsyncContextManager[Trials]]
"""What each worker makes its runs with, for as long as it is open. It travels by pickle."""

_MORE_ATTEMPTS = 2
_OBJECT_STORE_BYTES = 80 * 1024 * 1024  # near the least that Ray takes: nothing large passes through it


class RayExecutor:
    def __init__(
        self,
        open_trials: OpenTrials,
        *,
        workers: int | None = None,
        address: str | None = None,
        one_machine: str = "",
    ) -> None:
        """`address` names a running cluster (`auto`, or host:port); None starts one here, on loopback only.

        `workers` defaults to the processors of the cluster. A cluster of several machines is refused where
        `one_machine` says why. OperatorError if Ray is not installed.
        """
        self._open_trials = open_trials
        self._workers = workers
        self._address = address
        self._one_machine = one_machine
        self._ray = _load(on_loopback=address is None)
        self._hired: list[_Worker] = []
        self._has_started = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with redirect_stdout(sys.stderr):
            for worker in self._hired:
                await worker.close()
            self._hired.clear()
            if self._has_started:
                self._ray.shutdown()
                self._has_started = False

    async def run(self, jobs: Sequence[Job], trials: Trials, keep: Keep) -> None:
        if not jobs:
            return
        with redirect_stdout(sys.stderr):  # Ray prints there what it says of lost workers, and stdout is for data
            self._start()
            self._check_machines()
            await self._run_on(self._workers_for(jobs), jobs, trials, keep)

    def _workers_for(self, jobs: Sequence[Job]) -> list[_Worker]:
        """As many as there are jobs, at most as many as the cluster has processors; those of earlier jobs stay."""
        count = self._workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        most = max(job.memory_mb for job in jobs)
        missing = min(count, len(jobs)) - len(self._hired)
        self._hired += [_Worker(self._ray, self._open_trials, most) for _ in range(missing)]
        return self._hired

    async def _run_on(self, workers: list[_Worker], jobs: Sequence[Job], trials: Trials, keep: Keep) -> None:
        admission = Admission(workers)

        async def work(job: Job, worker: _Worker) -> None:
            async with admission.held(job, worker):
                await keep(await worker.result(job, trials))

        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(work(job, await admission.enter(job)))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _check_machines(self) -> None:
        machines = sum(node["Alive"] for node in self._ray.nodes())
        if self._one_machine and machines > 1:
            raise OperatorError(
                f"the Ray cluster has {machines} machines, and {self._one_machine}",
                hint="take one machine, or --executor local; for the store, a PostgreSQL database that all reach",
            )

    def _start(self) -> None:
        """What is started here is shut down again."""
        if self._ray.is_initialized():
            return
        settings: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if self._address is None:
            settings |= {"num_cpus": self._workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            settings["object_store_memory"] = _OBJECT_STORE_BYTES
        try:
            self._ray.init(self._address or "local", **settings)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise OperatorError(
                f"Ray at {self._address or 'this machine'} cannot be used: {error}",
                hint="name a running cluster with --ray-address, or leave it out to start one here",
            ) from None
        self._has_started = True


class _Worker(Place):
    """One worker process and its successors: a lost one is replaced when its next run is due."""

    def __init__(self, ray: Any, open_trials: OpenTrials, memory_mb: float) -> None:
        super().__init__(memory_mb, cpus=1.0)
        self._ray = ray
        self._open_trials = open_trials
        self._actor: Any = None

    async def result(self, job: Job, trials: Trials) -> Run:
        lost: list[str] = []
        while True:
            actor = self._actor = self._actor or self._hire()
            try:
                run: Run = await actor.run.remote(job.slot)
            except self._ray.exceptions.RayActorError as error:
                lost.append(f"the worker was lost: {str(error).splitlines()[0]}")
                if self._actor is actor:
                    self._actor = None
            else:
                return run.model_copy(update={"earlier_errors": (*lost, *run.earlier_errors)}) if lost else run
            if len(lost) > _MORE_ATTEMPTS:
                return trials.lost(job.slot, "; ".join(lost))

    async def close(self) -> None:
        if self._actor is not None:
            try:
                await asyncio.wait_for(self._actor.close.remote(), 10)
            except (TimeoutError, self._ray.exceptions.RayError):
                self._ray.kill(self._actor)

    def _hire(self) -> Any:
        memory = int(self.memory_mb * 1024 * 1024) or None
        hired = self._ray.remote(num_cpus=1, memory=memory, max_restarts=0, max_task_retries=0)(_House)
        return hired.remote(self._open_trials)


class _House:
    """What runs in a worker process."""

    def __init__(self, open_trials: OpenTrials) -> None:
        self._opening = open_trials()
        self._trials: Trials | None = None
        self._turn = asyncio.Lock()

    async def run(self, slot: Any) -> Run:
        async with self._turn:
            if self._trials is None:
                self._trials = await self._opening.__aenter__()
        return await self._trials.run(slot)

    async def close(self) -> None:
        if self._trials is not None:
            await self._opening.__aexit__(None, None, None)


def _load(*, on_loopback: bool) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if on_loopback:
        # Ray takes an address that other machines reach, whatever it is told, unless it believes that this platform
        # knows no clusters (ray/_private/ray_constants.py, 2.60).
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise OperatorError(
            "Ray is not installed", hint="install ironcage with its extra `ray`, or use --executor local"
        ) from None
