"""Credentials in a URL's query (`?key=`, Google's APIs): they are sent on, never written down, not even hashed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

_NAMES = frozenset({"key", "api_key", "apikey", "api-key", "access_token", "auth_token", "oauth_token"})
_MASK = "***"


def masked_keys(path: str) -> str:
    """`path` with the value of each credential in its query replaced."""
    return _with_options(path, lambda option: option.partition("=")[0] + "=" + _MASK)


def without_keys(path: str) -> str:
    """`path` without the credentials in its query: where the proxy holds the key, the agent's own goes nowhere."""
    return _with_options(path, lambda _: None)


def is_key_name(name: str) -> bool:
    """Whether an option of this name holds a credential."""
    return unquote(name).lstrip("$").lower() in _NAMES


def _with_options(path: str, changed: Callable[[str], str | None]) -> str:
    place, mark, query = path.partition("?")
    if not mark:
        return path
    options = [changed(option) if _is_key(option) else option for option in query.split("&")]
    kept = "&".join(option for option in options if option is not None)
    return f"{place}?{kept}" if kept or not query else place


def _is_key(option: str) -> bool:
    name, is_set, _ = option.partition("=")
    return bool(is_set) and is_key_name(name)
