"""A file that holds a secret: made once, readable by its owner only, the same for all processes that start at once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trajectory.errors import OperatorError


def load_or_create_secret(path: Path, new: Callable[[], bytes], *, name: str) -> bytes:
    """What is in `path`; made by `new` at first use, mode 0600. `name` is what errors call it.

    Raises OperatorError where the file is readable by others, or out of reach.
    """
    try:
        if not path.exists():
            _create(path, new())
        return _read(path, name)
    except OSError as error:
        raise OperatorError(
            f"cannot use the {name} file {path}: {error.strerror}",
            hint="name a file in a folder that the proxy may write and the agent may not read",
        ) from error


def _create(path: Path, secret: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        # link, not rename: it fails when another process was first, whose secret then counts
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _read(path: Path, name: str) -> bytes:
    if path.stat().st_mode & 0o077:
        raise OperatorError(f"the {name} file {path} is open to other users", hint=f"chmod 600 {path}")
    return path.read_bytes()
