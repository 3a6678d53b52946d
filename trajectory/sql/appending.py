"""The hot path: one batch of attempts, one transaction, statements compiled once, plain tuples for the driver.

1. Rows are built before the transaction; in it, only spans that are really new are compressed.
2. The transaction first reads `upkeep.deletions`: if another process deleted, what we know is forgotten.
3. Rows that several writers may touch are written in sorted order, so that PostgreSQL cannot deadlock.
4. What was written is remembered only after the commit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from trajectory.conversation import ToolDefinition
from trajectory.record import Attempt, span_digest
from trajectory.sql.rows import attempt_row, clean, clean_or_none, json_text
from trajectory.sql.spans import Known, Packer
from trajectory.sql.statements import Statements

_MAX_HEADERS = 4096
_MAX_TOOL_LISTS = 256
_Header = tuple[str, str | None, str | None, float]  # session, task, agent, started_at


class Appender:
    """Owns one connection. Not for two threads at once: the store holds its write lock around `append`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._on_sqlite = engine.dialect.name == "sqlite"
        self._sql = Statements.compiled(engine.dialect)
        self._packer = Packer()
        self._known = Known()
        self._headers: OrderedDict[str, _Header] = OrderedDict()
        self._tool_lists: dict[int, tuple[tuple[ToolDefinition, ...], bytes, bytes]] = {}
        self._deletions = -1
        self._connection: Any = None

    def append(self, attempts: Sequence[Attempt]) -> None:
        """Raises the driver's errors; nothing of the batch is written then."""
        batch = _Batch()
        for attempt in attempts:
            self._prepare(attempt, batch)
        try:
            self._write(batch, attempts)
        except BaseException:
            self.forget()
            raise
        self._known.note(batch.uses)
        self._headers.update(batch.headers)
        while len(self._headers) > _MAX_HEADERS:
            self._headers.popitem(last=False)

    def forget(self) -> None:
        """Undo what is open and drop all that was known; a connection that cannot even do that is given up."""
        self._known.clear()
        self._headers.clear()
        connection = self._connection
        if connection is None:
            return
        try:
            connection.rollback()
        except self._engine.dialect.loaded_dbapi.Error:
            self._connection = None
            connection.invalidate()

    def over(self, trajectory: str) -> None:
        """Nothing of it is expected any more: what was known of it, so that more is cheap to write, may go."""
        self._known.forget(trajectory)
        self._headers.pop(trajectory, None)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, attempt: Attempt, batch: _Batch) -> None:
        trajectory = clean(attempt.trajectory)
        tools = self._tools_span(attempt.tools, batch)
        batch.rows.append(attempt_row(attempt, tools))
        used = self._known.used_by(trajectory)
        uses, data = batch.uses, batch.data
        for body in (attempt.request, attempt.reply, attempt.client_reply or ()):
            for span in body:
                digest = span.digest
                if digest not in used:
                    uses[trajectory, digest] = None
                    data[digest] = span.data
        if tools is not None and tools not in used:
            uses[trajectory, tools] = None
        self._note_header(trajectory, attempt, batch)

    def _tools_span(self, tools: tuple[ToolDefinition, ...], batch: _Batch) -> bytes | None:
        """Digest of the tool list, which is kept as a span: the same list each turn is stored once."""
        if not tools:
            return None
        # an agent's list is the same object in every turn; held here, so that its id stays its own
        known = self._tool_lists.get(id(tools))
        if known is None:
            text = json_text(tools).encode()
            known = tools, span_digest(text), text
            if len(self._tool_lists) >= _MAX_TOOL_LISTS:
                self._tool_lists.clear()
            self._tool_lists[id(tools)] = known
        _, digest, text = known
        batch.data[digest] = text
        return digest

    def _note_header(self, trajectory: str, attempt: Attempt, batch: _Batch) -> None:
        session, agent = clean(attempt.session), clean_or_none(attempt.agent)
        task, started_at = clean_or_none(attempt.task), attempt.started_at
        before = batch.headers.get(trajectory) or self._headers.get(trajectory)
        if before is not None:
            task = before[1] if task is None else task
            started_at = min(started_at, before[3])
        header = (session, task, agent, started_at)
        if header != before:
            batch.headers[trajectory] = header

    def _write(self, batch: _Batch, attempts: Sequence[Attempt]) -> None:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
        cursor = self._connection.cursor()
        try:
            if self._on_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            if self._deleted_elsewhere(cursor):
                self._known.clear()
                self._headers.clear()
                batch.clear()
                for attempt in attempts:
                    self._prepare(attempt, batch)
            self._write_rows(cursor, batch)
            self._connection.commit()
        finally:
            cursor.close()

    def _deleted_elsewhere(self, cursor: Any) -> bool:
        cursor.execute(self._sql.deletions)
        seen, self._deletions = self._deletions, cursor.fetchone()[0]
        return seen not in (-1, self._deletions)

    def _write_rows(self, cursor: Any, batch: _Batch) -> None:
        if batch.headers:
            headers = [(trajectory, *header) for trajectory, header in sorted(batch.headers.items())]
            cursor.executemany(self._sql.header, headers)
        if batch.uses:
            self._write_spans(cursor, batch)
        cursor.executemany(self._sql.attempt, batch.rows)

    def _write_spans(self, cursor: Any, batch: _Batch) -> None:
        """New uses first; a span's `uses` then grows by exactly the trajectories that are new to it."""
        counts: dict[bytes, int] = {}
        for digest in self._new_uses(cursor, sorted(batch.uses)):
            counts[digest] = counts.get(digest, 0) + 1
        more: list[tuple[int, bytes]] = []
        fresh: list[tuple[bytes, int, bytes, int]] = []
        for digest in sorted(counts):
            if self._known.is_stored(digest):
                more.append((counts[digest], digest))
            else:
                fresh.append((digest, *self._packer.packed(batch.data[digest]), counts[digest]))
        if fresh:
            cursor.executemany(self._sql.span, fresh)
        if more:
            cursor.executemany(self._sql.span_used_again, more)

    def _new_uses(self, cursor: Any, uses: list[tuple[str, bytes]]) -> list[bytes]:
        """Digests of those of `uses` that were not there before."""
        if self._on_sqlite:
            new = []
            for use in uses:
                cursor.execute(self._sql.use, use)
                if cursor.rowcount > 0:
                    new.append(use[1])
            return new
        cursor.executemany(self._sql.use_returning, uses, returning=True)
        new = []
        while True:
            new.extend(bytes(row[0]) for row in cursor.fetchall())
            if not cursor.nextset():
                return new


class _Batch:
    """What one transaction will write. `uses` holds (trajectory, digest) pairs in order, without repeats."""

    __slots__ = ("data", "headers", "rows", "uses")

    def __init__(self) -> None:
        self.rows: list[tuple[object, ...]] = []
        self.uses: dict[tuple[str, bytes], None] = {}
        self.data: dict[bytes, bytes] = {}
        self.headers: dict[str, _Header] = {}

    def clear(self) -> None:
        for part in (self.rows, self.uses, self.data, self.headers):
            part.clear()
