"""Errors of the database libraries, said as StoreError with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import zstandard
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from trajectory.errors import StoreError

_HINTS = (
    ("not a database", "the file is not a SQLite database: name another path or restore the file from a backup"),
    ("malformed", "the file is damaged: restore it from a backup, or save what is left with `sqlite3 FILE .recover`"),
    ("unable to open", "create the folder, and let this user write to it"),
    ("readonly", "let this user write to the file and its folder"),
    ("read-only", "let this user write to the file and its folder"),
    ("is locked", "another process holds the store: end it, or use PostgreSQL for many writers"),
    ("disk is full", "free some disk space; nothing that was acknowledged is lost"),
    ("no space left", "free some disk space; nothing that was acknowledged is lost"),
    ("authentication failed", "check user and password in the store's URL"),
    ("does not exist", "create the database, or correct its name in the store's URL"),
    ("connection", "check that the database server runs and that the store's URL names it"),
)
_DEFAULT_HINT = "`ironcage doctor` checks the store"


def store_error(doing: str, error: Exception) -> StoreError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    what = " ".join(str(cause).split()) or type(cause).__name__
    hint = next((hint for sign, hint in _HINTS if sign in what.lower()), _DEFAULT_HINT)
    return StoreError(f"cannot {doing} the store: {what}", hint=hint)


@contextmanager
def told(doing: str, engine: Engine) -> Iterator[None]:
    """Raise what the database, its driver, or damaged contents raised inside as StoreError."""
    driver: type[Exception] = engine.dialect.loaded_dbapi.Error
    try:
        yield
    except (SQLAlchemyError, driver, zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise store_error(doing, error) from error
