"""Engines for the two databases, set to the durability asked for."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from trajectory.errors import OperatorError, StoreError

Durability = Literal["normal", "strict"]
"""normal: what was acknowledged survives the death of the process; strict: also the loss of power."""

_BUSY_TIMEOUT_MS = 10_000
_CONNECT_TIMEOUT_S = 10
_CACHE_KIB = 16 * 1024
_WAL_PAGES = 4000  # 16 MB between checkpoints: busy pages are copied back a quarter as often as by default
_WAL_KEPT_BYTES = 64 * 1024 * 1024
_WAL_TRIES = 20
_URL_HINT = "use sqlite:///path/to/file.db or postgresql://user@host/database"
_WRITES = "ironcage_writes"


def engine_for(url: str, durability: Durability) -> Engine:
    """Connects to nothing yet. OperatorError if `url` is not one of a store."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise OperatorError(f"{url!r} is not the URL of a store", hint=_URL_HINT) from None
    name = parsed.get_backend_name()
    if name == "sqlite":
        return _sqlite(parsed, durability)
    if name in ("postgresql", "postgres"):
        return _postgresql(parsed, durability)
    raise OperatorError(f"a store cannot be kept in {name}", hint=_URL_HINT)


def is_in_memory(engine: Engine) -> bool:
    """One connection serves all threads then; the store takes turns."""
    return isinstance(engine.pool, StaticPool)


def writing(engine: Engine) -> Engine:
    """A view of the engine whose transactions take SQLite's write lock at once, not half-way."""
    return engine.execution_options(**{_WRITES: True})


def _sqlite(url: URL, durability: Durability) -> Engine:
    if url.host:
        raise OperatorError(f"{url} names a host, not a file", hint="a path needs three slashes: sqlite:///ironcage.db")
    path = url.database
    if path in (None, "", ":memory:"):
        engine = create_engine(
            "sqlite+pysqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
            hide_parameters=True,
        )
    else:
        folder = Path(str(path)).parent
        if not folder.is_dir():
            raise StoreError(f"cannot open the store {path}: there is no folder {folder}", hint="create the folder")
        # errors are logged, and parameters are what agents and models said
        engine = create_engine(url.set(drivername="sqlite+pysqlite"), hide_parameters=True)
    synchronous = "FULL" if durability == "strict" else "NORMAL"

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, see below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        use_wal(cursor)
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        cursor.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch the file to a write-ahead log; nothing happens where it has one.

    Two that switch a new file at once are refused at once, whatever the busy timeout (SQLite sees a deadlock).
    An exclusive lock does wait: take it, so that the other can finish, and look again.
    """
    for _ in range(_WAL_TRIES):
        with suppress(sqlite3.OperationalError):
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        cursor.execute("BEGIN EXCLUSIVE")
        cursor.execute("ROLLBACK")
    cursor.execute("PRAGMA journal_mode=WAL")


def _postgresql(url: URL, durability: Durability) -> Engine:
    commit = "on" if durability == "strict" else "off"
    options = f"-c synchronous_commit={commit} {url.query.get('options', '')}".strip()
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg").update_query_dict({"options": options}),
            paramstyle="format",  # positional: the hot path hands over plain tuples
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
        )
    except ModuleNotFoundError:
        raise OperatorError(
            "the driver for PostgreSQL is not installed", hint="pip install 'ironcage[postgres]'"
        ) from None
