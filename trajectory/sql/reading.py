"""What is read back: steps, whole attempts, bodies and summaries. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import batched
from typing import Any

from sqlalchemy import Connection, Row, Select, case, distinct, func, select, tuple_

from trajectory.conversation import ToolDefinition
from trajectory.errors import StoreError
from trajectory.record import Attempt, Body, Span
from trajectory.sql.rows import read_attempt, read_tools
from trajectory.sql.schema import attempts, spans, trajectories
from trajectory.sql.spans import split_digests, unpacked
from trajectory.steps import steps_of
from trajectory.store import Place, Side
from trajectory.trajectory import Step, TrajectorySummary

_MOST_PARAMETERS = 500


def read_steps(connection: Connection, trajectory: str) -> tuple[Step, ...]:
    rows = _attempt_rows(connection, trajectory)
    tools = _tool_lists(connection, rows)
    return steps_of(read_attempt(row, tools=tools[row.tools]) for row in rows)


def read_attempts(connection: Connection, trajectory: str) -> list[Attempt]:
    """In order of start, with bodies; each distinct span is read once."""
    rows = _attempt_rows(connection, trajectory)
    tools = _tool_lists(connection, rows)
    blobs = [blob for row in rows for blob in (row.request, row.reply, row.client_reply or b"")]
    kept = _spans(connection, {digest for blob in blobs for digest in split_digests(bytes(blob))})

    def body(blob: bytes) -> Body:
        return tuple(kept[digest] for digest in split_digests(bytes(blob)))

    return [
        read_attempt(
            row,
            tools=tools[row.tools],
            request=body(row.request),
            reply=body(row.reply),
            client_reply=None if row.client_reply is None else body(row.client_reply),
        )
        for row in rows
    ]


def read_body(connection: Connection, attempt: str, side: Side) -> bytes | None:
    found = connection.execute(select(attempts.c[side]).where(attempts.c.id == attempt)).one_or_none()
    if found is None:
        raise StoreError(f"there is no attempt {attempt}")
    blob = found[0]
    if blob is None or (not blob and side != "client_reply"):
        return None
    digests = split_digests(bytes(blob))
    kept = _spans(connection, set(digests))
    return b"".join([kept[digest].data for digest in digests])


def read_summaries(
    connection: Connection, wanted: dict[str, str], before: Place | None, limit: int
) -> list[TrajectorySummary]:
    """Newest first. Counted by the database; no attempt is loaded."""
    table = trajectories
    page = select(table).where(*(table.c[name] == value for name, value in wanted.items()))
    if before is not None:
        page = page.where(tuple_(table.c.started_at, table.c.id) < before)
    page = page.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(limit)
    headers = connection.execute(page).all()
    totals: dict[str, Row[Any]] = {}
    models: dict[str, list[str]] = {}
    for ids in batched((row.id for row in headers), _MOST_PARAMETERS):
        totals.update({row.trajectory: row for row in connection.execute(_totals(ids))})
        used = select(attempts.c.trajectory, attempts.c.model).distinct()
        used = used.where(attempts.c.trajectory.in_(ids), attempts.c.model.is_not(None))
        for trajectory, model in connection.execute(used):
            models.setdefault(trajectory, []).append(model)
    return [_summary(row, totals.get(row.id), models.get(row.id, [])) for row in headers]


def _totals(ids: Iterable[str]) -> Select[Any]:
    a = attempts.c
    return (
        select(
            a.trajectory,
            func.min(a.started_at).label("began"),
            func.max(a.started_at + a.total_s).label("ended"),
            func.count(distinct(case((a.kind == "model", a.operation)))).label("model_calls"),
            func.count(distinct(case((a.kind == "tool", a.operation)))).label("tool_calls"),
            func.count().label("attempts"),
            func.sum(a.refusals).label("refusals"),
        )
        .where(a.trajectory.in_(ids))
        .group_by(a.trajectory)
    )


def _summary(header: Row[Any], total: Row[Any] | None, models: list[str]) -> TrajectorySummary:
    return TrajectorySummary(
        id=header.id,
        session=header.session,
        task=header.task,
        agent=header.agent,
        source=header.source,
        started_at=header.started_at,
        duration_s=0.0 if total is None else total.ended - total.began,
        model_calls=0 if total is None else total.model_calls,
        tool_calls=0 if total is None else total.tool_calls,
        attempts=0 if total is None else total.attempts,
        refusals=0 if total is None else int(total.refusals),
        models=tuple(sorted(models)),
        label=header.label,
    )


def _attempt_rows(connection: Connection, trajectory: str) -> list[Row[Any]]:
    a = attempts.c
    wanted = select(attempts).where(a.trajectory == trajectory).order_by(a.started_at, a.number, a.id)
    return list(connection.execute(wanted))


def _tool_lists(connection: Connection, rows: list[Row[Any]]) -> dict[bytes | None, tuple[ToolDefinition, ...]]:
    kept = _spans(connection, {bytes(row.tools) for row in rows if row.tools is not None})
    lists: dict[bytes | None, tuple[ToolDefinition, ...]] = {None: ()}
    lists.update({digest: read_tools(span.data) for digest, span in kept.items()})
    return lists


def _spans(connection: Connection, digests: set[bytes]) -> dict[bytes, Span]:
    """StoreError if one is missing: a body is exact or it is not given out."""
    found: dict[bytes, Span] = {}
    for some in batched(sorted(digests), _MOST_PARAMETERS):
        wanted = select(spans.c.digest, spans.c.codec, spans.c.data).where(spans.c.digest.in_(some))
        for digest, codec, data in connection.execute(wanted):
            address = bytes(digest)
            found[address] = Span(address, unpacked(codec, bytes(data)))
    missing = digests - found.keys()
    if missing:
        raise StoreError(
            f"the store has lost {len(missing)} of the spans of a body", hint="restore the store from a backup"
        )
    return found
