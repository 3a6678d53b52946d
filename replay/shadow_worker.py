"""Mirrors live operations to candidates, off the way of production, and keeps the pairs as runs with steps.

Everything that a candidate is asked goes through the gateway as a session of its own, with source "shadow": judged by
the same policies, against budgets of its own, and answered to nobody. The pairs of one live trajectory and one
candidate are one run of the bake-off that this shadow is scored as.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from replay.fingerprint import digest_of, fingerprint_of
from replay.loop import Pause
from replay.shadow import Pace, Purse, ShadowCounts, ShadowSettings, has_price, is_sampled, mirrored_usd, mirrors
from replay.stepwise import Turn, compare
from trajectory.clock import SYSTEM_CLOCK, Clock
from trajectory.errors import IroncageError, OperatorError
from trajectory.ids import trajectory_id
from trajectory.record import Attempt
from trajectory.runs import Bakeoff, Candidate, Certificate, Limits, Run, StepResult
from trajectory.store import Store

log = logging.getLogger(__name__)
_MAX_OPEN = 1000  # sessions of candidates that may still go on
_FLUSH_EVERY_S = 2.0  # together, since writing costs production's process as much for one run as for many
_WAY_S, _WAYS_GIVEN = 0.002, 25
_FREE = frozenset({"refused", "failed"})
"""Ends of an attempt that nobody bills: it was never sent, or the provider would not answer it."""


class ShadowHouse(Protocol):
    """What a shadow needs of the running gateway."""

    @property
    def store(self) -> Store: ...

    def host(self, candidate: Candidate) -> str:
        """The host of its upstream. OperatorError if that is not configured."""

    def conditions(self) -> dict[str, str]:
        """Digests of what is the same for production and shadow."""

    def busy(self) -> int:
        """How many exchanges are under way, those of the shadow included."""

    async def open_shadow(self, session: str, candidate: Candidate) -> None:
        """From now on the model calls of `session` go to the candidate; it is kept with source "shadow"."""

    async def close_shadow(self, session: str) -> None: ...

    async def ask(self, session: str, upstream: str, path: str, body: bytes) -> tuple[int, bytes]:
        """As replay.house.House.ask."""


@dataclass(slots=True, eq=False)
class _Mirrored:
    """One live trajectory, from its attempt `first` on, as one candidate sees it."""

    session: str
    candidate: Candidate
    live: str
    first: str
    began_s: float
    steps: list[StepResult] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while one step is asked: the next thing that is written down of the session is its answer."""
    is_open: bool = False


class Shadow:
    """`hear` is called for each attempt that was written down; `start` and `stop` it on the gateway's event loop."""

    def __init__(
        self,
        name: str,
        house: ShadowHouse,
        settings: ShadowSettings,
        candidates: Sequence[Candidate],
        *,
        clock: Clock = SYSTEM_CLOCK,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.name, self.settings = name, settings
        self._house, self._candidates = house, tuple(candidates)
        self._clock, self._pause = clock, pause
        self._hosts = {one.name: house.host(one) for one in candidates}
        self._purse, self._pace = Purse(settings.budget_usd), Pace(settings.max_per_s)
        self._queue: asyncio.Queue[tuple[Attempt, Candidate]] = asyncio.Queue(settings.max_queued)
        self._open: OrderedDict[tuple[str, str], _Mirrored] = OrderedDict()
        self._answers: dict[str, Attempt] = {}
        """By session of a candidate: what was last written down of it."""
        self._sessions: set[str] = set()
        self._asking = 0
        self._dirty: dict[str, _Mirrored] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._counts: Counter[str] = Counter()
        self._bakeoff = self._header()

    # --- on the way of production: no waiting, no I/O

    def hear(self, attempt: Attempt) -> None:
        if attempt.session in self._sessions:
            self._answers[attempt.session] = attempt
            return
        if not mirrors(attempt):
            return
        self._counts["heard"] += 1
        if not is_sampled(attempt, self.settings):
            return
        self._counts["sampled"] += 1
        for candidate in self._candidates:
            try:
                self._queue.put_nowait((attempt, candidate))
            except asyncio.QueueFull:
                self._counts["dropped_queue_full"] += 1

    # --- beside it

    async def start(self) -> None:
        """OperatorError where a budget is set and a candidate has no price."""
        await asyncio.to_thread(self._check_prices)
        await asyncio.to_thread(self._house.store.put_bakeoff, self._bakeoff)
        work = (self._work() for _ in range(self.settings.max_parallel))
        self._workers = [asyncio.create_task(one) for one in (*work, self._keep())]

    async def idle(self) -> None:
        """Return once all that was heard so far is compared or dropped, and kept."""
        await self._queue.join()
        await self.flush()

    async def stop(self) -> None:
        """Drop what waits, let what is under way be cut, keep the rest."""
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers)
        for mirrored in self._open.values():
            await self._house.close_shadow(mirrored.session)
        self._open.clear()
        self._sessions.clear()
        await self.flush()

    @property
    def counts(self) -> ShadowCounts:
        return ShadowCounts(
            **self._counts,
            waiting=self._queue.qsize(),
            spent_usd=self._purse.spent,
            budget_usd=self.settings.budget_usd,
        )

    def _check_prices(self) -> None:
        """Loads the price tables too, which would hold up production later."""
        for one in self._candidates:
            if not has_price(one, self._hosts[one.name], self._clock.now_s()) and self.settings.budget_usd is not None:
                raise OperatorError(
                    f"no price is known of {one.model!r}, so a budget in US dollars cannot be kept for it",
                    hint="leave budget_usd out; share and max_per_s bound what is sent",
                )

    async def _work(self) -> None:
        while True:
            attempt, candidate = await self._queue.get()
            try:
                await self._mirror(attempt, candidate)
            except IroncageError as error:
                self._counts["failed"] += 1
                log.warning("a mirrored operation came to nothing: %s", error)
            except Exception:  # what one odd request does must not end the worker for all others
                self._counts["failed"] += 1
                log.exception("a mirrored operation came to nothing")
            finally:
                self._queue.task_done()

    async def _mirror(self, attempt: Attempt, candidate: Candidate) -> None:
        if (wait_s := self._pace.wait_s(self._clock.monotonic_s())) > 0:
            await self._pause(wait_s)
        await self._give_way()
        most = mirrored_usd(attempt, candidate, self._hosts[candidate.name], self._clock.now_s()) or 0.0
        if not self._purse.reserve(most):
            self._counts["dropped_over_budget"] += 1
            return
        cost: float | None = None
        try:
            mirrored = self._mirrored(attempt, candidate)
            async with mirrored.turn:
                cost = await self._ask(mirrored, attempt)
        finally:
            self._purse.settle(most, cost)
        await self._forget_oldest()

    async def _give_way(self) -> None:
        """Begin when production has nothing under way, the exchange that is mirrored least of all; or soon anyway,
        since an exchange may take minutes in which it only waits.
        """
        for _ in range(_WAYS_GIVEN):
            if self._house.busy() <= self._asking:
                return
            await self._pause(_WAY_S)

    def _mirrored(self, attempt: Attempt, candidate: Candidate) -> _Mirrored:
        key = (attempt.trajectory, candidate.name)
        if key not in self._open:
            session = f"shadow-{_hash(self.name, candidate.name, attempt.id)}"
            self._open[key] = _Mirrored(session, candidate, attempt.trajectory, attempt.id, attempt.started_at)
            self._sessions.add(session)
        self._open.move_to_end(key)
        return self._open[key]

    async def _ask(self, mirrored: _Mirrored, attempt: Attempt) -> float | None:
        if not mirrored.is_open:
            await self._house.open_shadow(mirrored.session, mirrored.candidate)
            mirrored.is_open = True
        body = b"".join(span.data for span in attempt.request)
        self._asking += 1
        try:
            await self._house.ask(mirrored.session, attempt.upstream, attempt.path, body)
        finally:
            self._asking -= 1
        return self._compare(mirrored, attempt)

    async def _forget_oldest(self) -> None:
        """A trajectory that goes on after it was forgotten is one more run."""
        while len(self._open) > _MAX_OPEN:
            _, oldest = self._open.popitem(last=False)
            async with oldest.turn:
                self._sessions.discard(oldest.session)
                await self._house.close_shadow(oldest.session)

    def _compare(self, mirrored: _Mirrored, live: Attempt) -> float | None:
        """The cost of the candidate's answer. Its attempt was written down before the answer came back."""
        answer = self._answers.pop(mirrored.session, None)
        if answer is None:
            raise OperatorError(f"nothing was recorded of shadow session {mirrored.session}")
        pair = Turn(live, live.model, live.host), Turn(answer, answer.model, answer.host)
        result = compare(len(mirrored.steps), *pair)
        mirrored.steps.append(result)
        self._dirty[mirrored.session] = mirrored
        self._counts["failed" if result.same_tools is None else "compared"] += 1
        return 0.0 if answer.end in _FREE else result.candidate.cost_usd

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Keep what was compared since the last time."""
        dirty, self._dirty = self._dirty, {}
        if dirty:
            await asyncio.to_thread(self._house.store.put_runs, [self._run(one) for one in dirty.values()])

    def _run(self, mirrored: _Mirrored) -> Run:
        run_id = _hash(self.name, mirrored.candidate.name, mirrored.first)
        return Run(
            id=run_id,
            bakeoff=self.name,
            task=mirrored.live,
            candidate=mirrored.candidate,
            trial=int(run_id[:6], 16),
            seed=0,
            fingerprint=self._bakeoff.fingerprint,
            mode="stepwise",
            status="finished",
            started_at=mirrored.began_s,
            duration_s=sum(step.candidate.latency_s for step in mirrored.steps),
            trajectory=trajectory_id(mirrored.session, None),
            certificate=Certificate(grade="none", asked=Limits(), applied=Limits(), notes=(_NOTE,)),
            steps=tuple(mirrored.steps),
        )

    def _header(self) -> Bakeoff:
        parts = {**self._house.conditions(), "shadow": digest_of(self.settings.model_dump(mode="json"))}
        return Bakeoff(
            id=self.name,
            created_at=self._clock.now_s(),
            candidates=self._candidates,
            tasks=(),
            trials=1,
            seed=0,
            fingerprint=fingerprint_of(parts),
            fingerprint_parts=parts,
        )


_NOTE = "shadow of live traffic: judged by policy, executed by nobody, nothing to limit"


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=13).hexdigest()
