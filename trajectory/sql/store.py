"""trajectory.store.Store on a SQL database."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, select, update

from trajectory.clock import SYSTEM_CLOCK, Clock
from trajectory.errors import StoreError
from trajectory.record import Attempt
from trajectory.runs import Bakeoff, Run
from trajectory.sql import schema
from trajectory.sql.appending import Appender
from trajectory.sql.engine import is_in_memory, writing
from trajectory.sql.faults import told
from trajectory.sql.reading import read_attempts, read_body, read_steps, read_summaries
from trajectory.sql.rows import clean, clean_or_none, json_text, read_launch
from trajectory.sql.statements import upsert_for
from trajectory.store import Place, Side
from trajectory.trajectory import Launch, OutcomeLabel, Trajectory, TrajectorySummary


class SqlStore:
    """Made by trajectory.sql.opening.open_store. Writers of this process take turns; readers do not wait."""

    def __init__(self, engine: Engine, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._engine = engine
        self._writing_engine = writing(engine)
        self._clock = clock
        self._upsert = upsert_for(engine.dialect)
        self._turn = threading.RLock()
        self._reader_turn = self._turn if is_in_memory(engine) else nullcontext()
        self._appender = Appender(engine)

    def append(self, attempts: Sequence[Attempt]) -> None:
        if not attempts:
            return
        with self._turn, told("write to", self._engine):
            self._appender.append(attempts)

    def launched(
        self, trajectory: str, launch: Launch | None, *, task: str | None = None, source: str = "live"
    ) -> None:
        trajectory = clean(trajectory)
        session, _, agent = trajectory.partition("/")
        given: dict[str, object] = {"source": clean(source)}
        if launch is not None:
            given["launch"] = json_text(launch)
        if task is not None:
            given["task"] = clean(task)
        new = self._upsert(schema.trajectories).values(
            id=trajectory,
            session=session,
            agent=agent or None,
            started_at=self._clock.now_s(),
            label_evidence="",
            **given,
        )
        with self._write() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=given))

    def label(self, trajectory: str, label: OutcomeLabel | None, evidence: str) -> None:
        table = schema.trajectories
        with self._write() as connection:
            changed = connection.execute(
                update(table)
                .where(table.c.id == clean(trajectory))
                .values(label=clean_or_none(label), label_evidence=clean(evidence))
            )
            if changed.rowcount == 0:
                raise _no_trajectory(trajectory)

    def find(
        self,
        *,
        session: str | None = None,
        task: str | None = None,
        source: str | None = None,
        before: Place | None = None,
        limit: int = 1000,
    ) -> list[TrajectorySummary]:
        named = {"session": session, "task": task, "source": source}
        wanted = {name: clean(value) for name, value in named.items() if value is not None}
        with self._read() as connection:
            return read_summaries(connection, wanted, before, max(limit, 0))

    def trajectory(self, trajectory: str) -> Trajectory:
        with self._read() as connection:
            row = _header(connection, trajectory)
            steps = read_steps(connection, row.id)
        return Trajectory(
            id=row.id,
            session=row.session,
            task=row.task,
            agent=row.agent,
            started_at=row.started_at,
            steps=steps,
            label=row.label,
            label_evidence=row.label_evidence,
            launch=None if row.launch is None else read_launch(row.launch),
            source=row.source,
        )

    def attempts(self, trajectory: str) -> Iterator[Attempt]:
        with self._read() as connection:
            return iter(read_attempts(connection, _header(connection, trajectory).id))

    def body(self, attempt: str, side: Side) -> bytes | None:
        with self._read() as connection:
            return read_body(connection, clean(attempt), side)

    def delete(self, trajectory: str) -> None:
        """Also takes the spans that only this trajectory used; appends of other processes wait meanwhile."""
        spans, uses, upkeep = schema.spans, schema.span_uses, schema.upkeep
        with self._write() as connection:
            connection.execute(update(upkeep).values(deletions=upkeep.c.deletions + 1))
            home = _header(connection, trajectory).id
            used = spans.c.digest.in_(select(uses.c.digest).where(uses.c.trajectory == home))
            connection.execute(update(spans).where(used).values(uses=spans.c.uses - 1))
            connection.execute(delete(spans).where(used, spans.c.uses <= 0))
            for table, column in ((schema.attempts, "trajectory"), (uses, "trajectory"), (schema.trajectories, "id")):
                connection.execute(delete(table).where(table.c[column] == home))

    def put_task(self, task: str, document: str) -> None:
        new = self._upsert(schema.tasks).values(name=clean(task), document=clean(document))
        self._put(new.on_conflict_do_update(index_elements=["name"], set_={"document": new.excluded.document}))

    def tasks(self) -> dict[str, str]:
        with self._read() as connection:
            rows = connection.execute(select(schema.tasks).order_by(schema.tasks.c.name))
            return {row.name: row.document for row in rows}

    def put_bakeoff(self, bakeoff: Bakeoff) -> None:
        new = self._upsert(schema.bakeoffs).values(
            id=clean(bakeoff.id), created_at=bakeoff.created_at, document=bakeoff.model_dump_json()
        )
        kept = {"created_at": new.excluded.created_at, "document": new.excluded.document}
        self._put(new.on_conflict_do_update(index_elements=["id"], set_=kept))

    def bakeoffs(self) -> list[Bakeoff]:
        table = schema.bakeoffs
        with self._read() as connection:
            rows = connection.execute(select(table.c.document).order_by(table.c.created_at.desc(), table.c.id.desc()))
            return [Bakeoff.model_validate_json(document) for document in rows.scalars()]

    def put_runs(self, runs: Iterable[Run]) -> None:
        new = self._upsert(schema.runs)
        kept = {name: new.excluded[name] for name in ("bakeoff", "document")}
        ended = list(runs)
        rows = [{"id": clean(r.id), "bakeoff": clean(r.bakeoff), "document": r.model_dump_json()} for r in ended]
        if rows:
            self._put(new.on_conflict_do_update(index_elements=["id"], set_=kept), rows)
        with self._turn:
            for run in ended:
                self._appender.over(clean(run.trajectory))

    def runs(self, bakeoff: str) -> list[Run]:
        table = schema.runs
        with self._read() as connection:
            rows = connection.execute(
                select(table.c.document).where(table.c.bakeoff == clean(bakeoff)).order_by(table.c.place)
            )
            return [Run.model_validate_json(document) for document in rows.scalars()]

    def close(self) -> None:
        with self._turn, told("close", self._engine):
            self._appender.close()
            self._engine.dispose()

    def _put(self, statement: Any, rows: list[dict[str, Any]] | None = None) -> None:
        with self._write() as connection:
            connection.execute(statement, rows)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._turn, told("write to", self._engine), self._writing_engine.begin() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._reader_turn, told("read", self._engine), self._engine.connect() as connection:
            yield connection


def _header(connection: Connection, trajectory: str) -> Row[Any]:
    table = schema.trajectories
    row = connection.execute(select(table).where(table.c.id == clean(trajectory))).one_or_none()
    if row is None:
        raise _no_trajectory(trajectory)
    return row


def _no_trajectory(trajectory: str) -> StoreError:
    return StoreError(
        f"there is no trajectory {trajectory!r}", hint="`ironcage trajectories list` shows those that are kept"
    )
