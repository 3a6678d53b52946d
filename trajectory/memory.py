"""A store that lasts as long as the process: for tests, small imports and `ironcage` without a file."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from trajectory.clock import SYSTEM_CLOCK, Clock
from trajectory.errors import StoreError
from trajectory.record import Attempt
from trajectory.runs import Bakeoff, Run
from trajectory.steps import in_order, refusals_in, steps_of
from trajectory.store import Place, Side
from trajectory.trajectory import Launch, OutcomeLabel, Trajectory, TrajectorySummary


@dataclass(slots=True)
class _Kept:
    """Everything of one trajectory; `attempts` by id."""

    header: Trajectory
    attempts: dict[str, Attempt] = field(default_factory=dict)


class MemoryStore:
    """Implements trajectory.store.Store."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._kept: dict[str, _Kept] = {}
        self._home: dict[str, str] = {}  # attempt id -> trajectory
        self._tasks: dict[str, str] = {}
        self._bakeoffs: dict[str, Bakeoff] = {}
        self._runs: dict[str, Run] = {}

    def append(self, attempts: Sequence[Attempt]) -> None:
        with self._lock:
            for attempt in attempts:
                self._put(attempt)

    def _put(self, attempt: Attempt) -> None:
        before = self._home.pop(attempt.id, None)
        if before is not None:
            del self._kept[before].attempts[attempt.id]
        kept = self._kept.get(attempt.trajectory)
        if kept is None:
            kept = self._kept[attempt.trajectory] = _Kept(_new_header(attempt.trajectory, attempt.started_at))
        kept.header = replace(
            kept.header,
            session=attempt.session,
            agent=attempt.agent,
            task=kept.header.task if attempt.task is None else attempt.task,
            started_at=min(kept.header.started_at, attempt.started_at),
        )
        kept.attempts[attempt.id] = attempt
        self._home[attempt.id] = attempt.trajectory

    def launched(
        self, trajectory: str, launch: Launch | None, *, task: str | None = None, source: str = "live"
    ) -> None:
        with self._lock:
            kept = self._kept.get(trajectory)
            if kept is None:
                kept = self._kept[trajectory] = _Kept(_new_header(trajectory, self._clock.now_s()))
            header = kept.header
            kept.header = replace(
                header, launch=launch or header.launch, task=task if task is not None else header.task, source=source
            )

    def label(self, trajectory: str, label: OutcomeLabel | None, evidence: str) -> None:
        with self._lock:
            kept = self._of(trajectory)
            kept.header = replace(kept.header, label=label, label_evidence=evidence)

    def find(
        self,
        *,
        session: str | None = None,
        task: str | None = None,
        source: str | None = None,
        before: Place | None = None,
        limit: int = 1000,
    ) -> list[TrajectorySummary]:
        with self._lock:
            chosen = [
                kept
                for kept in self._kept.values()
                if session in (None, kept.header.session)
                and task in (None, kept.header.task)
                and source in (None, kept.header.source)
                and (before is None or (kept.header.started_at, kept.header.id) < before)
            ]
            chosen.sort(key=lambda kept: (kept.header.started_at, kept.header.id), reverse=True)
            return [_summary(kept) for kept in chosen[: max(limit, 0)]]

    def trajectory(self, trajectory: str) -> Trajectory:
        with self._lock:
            kept = self._of(trajectory)
            return replace(kept.header, steps=steps_of(kept.attempts.values()))

    def attempts(self, trajectory: str) -> Iterator[Attempt]:
        with self._lock:
            return iter(in_order(self._of(trajectory).attempts.values()))

    def body(self, attempt: str, side: Side) -> bytes | None:
        with self._lock:
            home = self._home.get(attempt)
            if home is None:
                raise StoreError(f"there is no attempt {attempt}")
            body = getattr(self._kept[home].attempts[attempt], side)
        if body is None or (not body and side != "client_reply"):
            return None
        return b"".join(span.data for span in body)

    def delete(self, trajectory: str) -> None:
        with self._lock:
            for attempt in self._of(trajectory).attempts:
                del self._home[attempt]
            del self._kept[trajectory]

    def put_task(self, task: str, document: str) -> None:
        with self._lock:
            self._tasks[task] = document

    def tasks(self) -> dict[str, str]:
        with self._lock:
            return dict(sorted(self._tasks.items()))

    def put_bakeoff(self, bakeoff: Bakeoff) -> None:
        with self._lock:
            self._bakeoffs[bakeoff.id] = bakeoff

    def bakeoffs(self) -> list[Bakeoff]:
        with self._lock:
            return sorted(self._bakeoffs.values(), key=lambda b: (b.created_at, b.id), reverse=True)

    def put_runs(self, runs: Iterable[Run]) -> None:
        with self._lock:
            self._runs.update({run.id: run for run in list(runs)})

    def runs(self, bakeoff: str) -> list[Run]:
        with self._lock:
            return [run for run in self._runs.values() if run.bakeoff == bakeoff]

    def close(self) -> None:
        """Nothing to release; what was kept stays readable."""

    def _of(self, trajectory: str) -> _Kept:
        kept = self._kept.get(trajectory)
        if kept is None:
            raise StoreError(
                f"there is no trajectory {trajectory!r}", hint="`ironcage trajectories list` shows those that are kept"
            )
        return kept


def _new_header(trajectory: str, started_at: float) -> Trajectory:
    session, _, agent = trajectory.partition("/")
    return Trajectory(trajectory, session, None, agent or None, started_at, ())


def _summary(kept: _Kept) -> TrajectorySummary:
    header, attempts = kept.header, kept.attempts.values()
    began = min((a.started_at for a in attempts), default=0.0)
    return TrajectorySummary(
        id=header.id,
        session=header.session,
        task=header.task,
        agent=header.agent,
        source=header.source,
        started_at=header.started_at,
        duration_s=max((a.started_at + a.total_s for a in attempts), default=began) - began,
        model_calls=len({a.operation for a in attempts if a.kind == "model"}),
        tool_calls=len({a.operation for a in attempts if a.kind == "tool"}),
        attempts=len(attempts),
        refusals=sum(map(refusals_in, attempts)),
        models=tuple(sorted({a.model for a in attempts if a.model is not None})),
        label=header.label,
    )
