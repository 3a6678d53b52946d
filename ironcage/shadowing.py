"""Shadow traffic of a running proxy: started, asked after and stopped at its desk, by configuration or a command."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ironcage.assembly import Doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.candidates import read_candidate
from ironcage.conditions import conditions_of
from proxy.operation import Swap
from replay.approvals import NOT_EXECUTED, Always
from replay.shadow import ShadowCounts, ShadowSettings
from replay.shadow_worker import Shadow
from replay.swap.street import swap_street
from scoring.stepwise import StepwiseRow, stepwise_rows
from trajectory.clock import SYSTEM_CLOCK, system_entropy
from trajectory.errors import OperatorError
from trajectory.ids import new_id, trajectory_id
from trajectory.record import Attempt
from trajectory.runs import Candidate, Frozen
from trajectory.store import Store


class ShadowStatus(Frozen):
    """`id` is the bake-off as which `bakeoff report` scores it; None where no shadow was started yet."""

    running: bool
    id: str | None = None
    settings: ShadowSettings | None = None
    counts: ShadowCounts = ShadowCounts()
    candidates: tuple[StepwiseRow, ...] = ()


@dataclass(slots=True, eq=False)
class LiveHouse:
    """The gateway of production, as a shadow uses it (replay.shadow_worker.ShadowHouse)."""

    doors: Doors
    house: BakeoffHouse

    @property
    def store(self) -> Store:
        return self.doors.store

    def host(self, candidate: Candidate) -> str:
        return self.house.model_upstream(candidate.upstream).host

    def conditions(self) -> dict[str, str]:
        return conditions_of(self.doors.loaded)

    def busy(self) -> int:
        return self.doors.gateway.busy()

    async def open_shadow(self, session: str, candidate: Candidate) -> None:
        hall, street = self.doors.hall, swap_street(candidate, self.house, seed=0)
        await asyncio.to_thread(self.store.launched, trajectory_id(session, None), None, source="shadow")
        parameters = candidate.parameters if candidate.wire is None else {}
        hall.approvers[session] = Always(NOT_EXECUTED)
        hall.swaps[session] = Swap(
            candidate.upstream, self.host(candidate), candidate.model, parameters, max_tokens=candidate.max_tokens
        )
        if street is not None:
            hall.streets[session] = street

    async def close_shadow(self, session: str) -> None:
        await self.doors.gateway.quiet(session)
        self.doors.hall.swaps.pop(session, None)
        self.doors.hall.streets.pop(session, None)
        self.doors.hall.approvers.pop(session, None)

    async def ask(self, session: str, upstream: str, path: str, body: bytes) -> tuple[int, bytes]:
        return await self.house.ask(session, upstream, path, body)


class ShadowDesk:
    """One shadow at a time."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._shadow: Shadow | None = None
        self._running = False

    async def start(self, settings: ShadowSettings) -> ShadowStatus:
        """OperatorError if one is running, or cannot be as it is asked for."""
        if self._running:
            raise OperatorError("a shadow is running", hint="stop it first: ironcage shadow stop")
        name = f"shadow-{new_id(SYSTEM_CLOCK.now_s(), system_entropy(7))}"
        candidates = [read_candidate(entry, self._doors.loaded.settings.upstreams) for entry in settings.candidates]
        if len({one.name for one in candidates}) < len(candidates):
            raise OperatorError("two candidates have the same name", hint="give each a name of its own")
        shadow = Shadow(name, LiveHouse(self._doors, BakeoffHouse(self._doors)), settings, candidates)
        self._running = True
        try:
            await shadow.start()
        except BaseException:
            self._running = False
            raise
        self._shadow = shadow
        loop = asyncio.get_running_loop()

        def heard(attempt: Attempt) -> None:
            # in the loop's next turn: whatever goes wrong there is no part of the exchange that it heard of
            loop.call_soon(shadow.hear, attempt)

        self._doors.hall.heard = heard
        return await self.status()

    async def stop(self) -> ShadowStatus:
        if self._running and self._shadow is not None:
            self._doors.hall.heard = None
            self._running = False
            await self._shadow.stop()
        return await self.status()

    async def idle(self) -> None:
        """Return once all that was heard so far is compared and kept."""
        if self._shadow is not None:
            await self._shadow.idle()

    async def status(self) -> ShadowStatus:
        shadow = self._shadow
        if shadow is None:
            return ShadowStatus(running=False)
        await shadow.flush()
        runs = await asyncio.to_thread(self._doors.store.runs, shadow.name)
        rows = await asyncio.to_thread(stepwise_rows, runs)
        return ShadowStatus(
            running=self._running, id=shadow.name, settings=shadow.settings, counts=shadow.counts, candidates=rows
        )
