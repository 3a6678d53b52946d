"""The statements of the hot path as SQL text with positional parameters, for one dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Table, bindparam, case, func, select, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select

from trajectory.sql.schema import attempts, span_uses, spans, trajectories, upkeep

HEADER_COLUMNS = ("id", "session", "task", "agent", "started_at")


@dataclass(frozen=True, slots=True)
class Statements:
    deletions: str
    header: str
    attempt: str
    use: str
    use_returning: str
    span: str
    span_used_again: str

    @classmethod
    def compiled(cls, dialect: Dialect) -> Statements:
        insert = upsert_for(dialect)
        use = insert(span_uses).values(_binds(span_uses)).on_conflict_do_nothing()
        returning = use.returning(span_uses.c.digest)
        return cls(
            # FOR SHARE (PostgreSQL): a deletion waits for us, and we for it. SQLite has one writer anyway.
            deletions=_text(select(upkeep.c.deletions).with_for_update(read=True), dialect),
            header=_text(_header(insert), dialect, HEADER_COLUMNS),
            attempt=_text(_attempt(insert), dialect, _names(attempts)),
            use=_text(use, dialect, _names(span_uses)),
            use_returning=_text(returning, dialect, _names(span_uses)),
            span=_text(_span(insert), dialect, _names(spans)),
            span_used_again=_text(
                update(spans).where(spans.c.digest == bindparam("of")).values(uses=spans.c.uses + bindparam("more")),
                dialect,
                ("more", "of"),
            ),
        )


def upsert_for(dialect: Dialect) -> Any:
    """The dialect's `insert` with ON CONFLICT; the two have the same methods but no common type."""
    if dialect.name == "sqlite":
        return sqlite.insert
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 -- loaded already where it is the dialect

    return postgresql.insert


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.c)


def _binds(table: Table, *names: str) -> dict[str, Any]:
    return {name: bindparam(name, type_=table.c[name].type) for name in names or _names(table)}


def _header(insert: Any) -> Any:
    table = trajectories
    new = insert(table).values(
        _binds(table, *HEADER_COLUMNS) | {"source": text("'live'"), "label_evidence": text("''")}
    )
    given = new.excluded
    return new.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "session": given.session,
            "agent": given.agent,
            "task": func.coalesce(given.task, table.c.task),
            "started_at": case((given.started_at < table.c.started_at, given.started_at), else_=table.c.started_at),
        },
    )


def _attempt(insert: Any) -> Any:
    new = insert(attempts).values(_binds(attempts))
    return new.on_conflict_do_update(
        index_elements=["id"], set_={name: new.excluded[name] for name in _names(attempts) if name != "id"}
    )


def _span(insert: Any) -> Any:
    new = insert(spans).values(_binds(spans))
    return new.on_conflict_do_update(index_elements=["digest"], set_={"uses": spans.c.uses + new.excluded.uses})


def _text(statement: UpdateBase | Select[Any], dialect: Dialect, order: tuple[str, ...] = ()) -> str:
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    positions = tuple(compiled.positiontup or ())
    if positions != order:
        raise AssertionError(f"parameters {positions} are not in the order {order}")
    return str(compiled)
