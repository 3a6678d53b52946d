"""The store and the secrets on disk. Looks only: nothing is made, migrated or mended."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ironcage.doctor.report import Line, fail, ok, warn
from ironcage.reach import build_store, ca_folder
from ironcage.settings import Loaded
from policies.redaction.key import KEY_BYTES
from proxy.intercept.certificates import KEY_FILE
from trajectory.errors import IroncageError
from trajectory.sql.schema import HEAD, VERSION_TABLE

_SQLITE = "sqlite:///"


def check_store(loaded: Loaded) -> Line:
    """A server's database is opened as `serve` does it, which migrates it; a SQLite file is only looked at."""
    url = loaded.store_url
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return _check_sqlite(Path(url.removeprefix(_SQLITE)))
    try:
        with closing(build_store(loaded)) as store:
            store.find(limit=1)
    except IroncageError as e:
        return fail("store", str(e), e.hint)
    return ok("store", "reachable and migrated")


def check_secrets(loaded: Loaded) -> Iterator[Line]:
    folder = loaded.path(loaded.settings.state_dir)
    if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        yield warn("state folder", f"others may write to {folder}", f"chmod 755 {folder}")
    yield _check_key("pseudonym key", folder / "pseudonyms.key", KEY_BYTES)
    yield _check_key("CA key", ca_folder(loaded) / KEY_FILE, None)


def _check_sqlite(file: Path) -> Line:
    if not file.exists():
        return _check_new_sqlite(file)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=2)) as connection:
            row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - constant
    except sqlite3.Error as e:
        return fail("store", f"{file} cannot be read as a store: {e}", "restore it from a backup, or name another file")
    if not os.access(file, os.W_OK):
        return fail("store", f"{file} cannot be written", "let this user write to it and its folder")
    found = row[0] if row else None
    if found != HEAD:
        return warn(
            "store", f"{file} has revision {found}, this program {HEAD}", "the next start migrates it if it is older"
        )
    return ok("store", f"{file} is readable, revision {found}")


def _check_new_sqlite(file: Path) -> Line:
    if not file.parent.is_dir():
        return fail("store", f"there is no folder {file.parent}", "create it")
    if not os.access(file.parent, os.W_OK):
        return fail("store", f"{file.parent} cannot be written", "let this user write to it, or name another store")
    return ok("store", f"{file} will be made at the first start")


def _check_key(name: str, file: Path, length: int | None) -> Line:
    try:
        state = file.stat()
    except FileNotFoundError:
        return ok(name, "none yet; it is made when it is needed")
    except OSError as e:
        return fail(name, f"{file}: {e.strerror}", "let this user read it")
    if stat.S_IMODE(state.st_mode) & 0o077:
        return fail(name, f"others may read {file}", f"chmod 600 {file}; if others did, make a new one")
    if length is not None and state.st_size != length:
        return fail(name, f"{file} has {state.st_size} bytes, not {length}", "restore it from a backup")
    return ok(name, f"{file} is this user's alone")
