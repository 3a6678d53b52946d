"""The file that holds the tenant's pseudonym key. This module reads and writes files."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path

from trajectory.errors import OperatorError
from trajectory.secret_file import load_or_create_secret

KEY_BYTES = 32


def load_or_create_key(path: Path) -> bytes:
    """The key in `path`, made at first use (32 random bytes, mode 0600). Processes that start at once agree on one.

    Raises OperatorError when the file cannot be used: short, readable by others, or out of reach. A new key is never
    put in the place of an old one, which would make every recorded pseudonym a stranger.
    """
    key = load_or_create_secret(path, partial(secrets.token_bytes, KEY_BYTES), name="pseudonym key")
    if len(key) != KEY_BYTES:
        raise OperatorError(
            f"the pseudonym key file {path} has {len(key)} bytes, not {KEY_BYTES}",
            hint="restore it from a backup, or remove it to start with new pseudonyms",
        )
    return key
