"""Attempts, in whatever order they were written, read as the ordered steps of a trajectory."""

from __future__ import annotations

from collections.abc import Iterable

from trajectory.record import Attempt
from trajectory.trajectory import AttemptView, Step


def steps_of(attempts: Iterable[Attempt]) -> tuple[Step, ...]:
    """One step for each operation, in the order in which their first attempts began. Bodies are not looked at."""
    operations: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=_order):
        operations.setdefault(attempt.operation, []).append(attempt)
    return tuple(_step(index, group) for index, group in enumerate(operations.values()))


def refusals_in(attempt: Attempt) -> int:
    """How often policy said no: notes that refused or cut, each with its count; at least 1 if it ended refused."""
    noted = sum(note.count for note in attempt.verdicts if note.action in ("refuse", "cut"))
    return noted or int(attempt.end == "refused")


def views_in_order(steps: Iterable[Step]) -> list[tuple[Step, AttemptView]]:
    """All attempts by start: those of several operations may have been under way at once."""
    pairs = [(step, view) for step in steps for view in step.attempts]
    return sorted(pairs, key=lambda pair: (pair[1].started_at, pair[1].number, pair[1].id))


def in_order(attempts: Iterable[Attempt]) -> list[Attempt]:
    return sorted(attempts, key=_order)


def _order(attempt: Attempt) -> tuple[float, int, str]:
    return attempt.started_at, attempt.number, attempt.id


def _step(index: int, attempts: list[Attempt]) -> Step:
    first = attempts[0]
    return Step(
        operation=first.operation,
        index=index,
        kind=first.kind,
        wire=first.wire,
        upstream=first.upstream,
        host=first.host,
        method=first.method,
        path=first.path,
        digest=first.digest,
        model=first.model,
        tools=first.tools,
        attempts=tuple(map(_view, attempts)),
    )


def _view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        id=attempt.id,
        number=attempt.number,
        door=attempt.door,
        status=attempt.status,
        end=attempt.end,
        error=attempt.error,
        started_at=attempt.started_at,
        first_byte_s=attempt.first_byte_s,
        total_s=attempt.total_s,
        request_bytes=attempt.request_bytes,
        reply_bytes=attempt.reply_bytes,
        streamed=attempt.streamed,
        answer=attempt.answer,
        tool=attempt.tool,
        verdicts=attempt.verdicts,
        headers=attempt.headers,
        matched_by=attempt.matched_by,
        extra=tuple(attempt.extra.items()),
    )
