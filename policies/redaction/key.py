"""The file that holds the tenant's pseudonym key. This module reads and writes files."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from trajectory.errors import OperatorError

KEY_BYTES = 32


def load_or_create_key(path: Path) -> bytes:
    """The key in `path`, made at first use (32 random bytes, mode 0600). Processes that start at once agree on one.

    Raises OperatorError when the file cannot be used: short, readable by others, or out of reach. A new key is never
    put in the place of an old one, which would make every recorded pseudonym a stranger.
    """
    try:
        if not path.exists():
            _create(path)
        return _read(path)
    except OSError as error:
        raise OperatorError(
            f"cannot use the pseudonym key file {path}: {error.strerror}",
            hint="name a file in a folder that the proxy may write and the agent may not read",
        ) from error


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # link, not rename: it fails when another process was first, whose key then counts
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise OperatorError(f"the pseudonym key file {path} is open to other users", hint=f"chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise OperatorError(
            f"the pseudonym key file {path} has {len(key)} bytes, not {KEY_BYTES}",
            hint="restore it from a backup, or remove it to start with new pseudonyms",
        )
    return key
