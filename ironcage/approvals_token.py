"""What proves that a decision on a waiting call is a person's: a token that no agent is given.

The access token is none: agents carry it, as the password of the doors. This one is made at first start, in a file of
the state folder that only its owner may read, or stands in the environment of the proxy and of the command line.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ironcage.settings import Loaded
from proxy.environment import APPROVALS_TOKEN
from trajectory.errors import OperatorError
from trajectory.secret_file import load_or_create_secret

TOKEN_HEADER = "x-ironcage-approvals-token"  # noqa: S105 - the name of the header
_LEAST_CHARACTERS = 16


def token_file(loaded: Loaded) -> Path:
    return loaded.path(loaded.settings.state_dir) / "approvals.token"


def token_place(loaded: Loaded, environment: Mapping[str, str] = os.environ) -> str:
    """Where an operator finds it; never the token itself, since an agent may read what a proxy prints."""
    given = APPROVALS_TOKEN in environment
    return f"token in {APPROVALS_TOKEN}" if given else f"token in {token_file(loaded)}"


def approvals_token(loaded: Loaded, environment: Mapping[str, str] = os.environ) -> str:
    """Raises OperatorError where it is short enough to be guessed, or its file cannot be used."""
    given = environment.get(APPROVALS_TOKEN)
    if given is None:
        made = load_or_create_secret(token_file(loaded), _new, name="approvals token")
        given = made.decode("ascii", "replace").strip()
    if len(given) < _LEAST_CHARACTERS:
        raise OperatorError(
            f"the approvals token has {len(given)} characters",
            hint=f"{APPROVALS_TOKEN} or {token_file(loaded)} must hold at least {_LEAST_CHARACTERS}",
        )
    return given


def known_token(loaded: Loaded, environment: Mapping[str, str] = os.environ) -> str:
    """As the command line finds it: empty where there is none, since only a proxy makes one."""
    is_there = APPROVALS_TOKEN in environment or token_file(loaded).exists()
    return approvals_token(loaded, environment) if is_there else ""


def is_token(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode("utf-8", "surrogatepass"))


def _new() -> bytes:
    return secrets.token_urlsafe(24).encode() + b"\n"
