"""Settings by a table: what a format has no key for is a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from replay.swap.losses import Losses
from replay.swap.neutral import Json, Settings

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def put_settings(
    body: Json, settings: Settings, keys: Mapping[str, str], losses: Losses, *, done: frozenset[str]
) -> None:
    """Put each setting under its key. Those in `done` are the caller's business; all others without a key are lost."""
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.name in done or value is None or value == ():
            continue
        key = keys.get(one.name)
        if key is None:
            losses.setting(one.name)
        else:
            body[key] = list(value) if isinstance(value, tuple) else value


def nearest_effort(asked: str, known: tuple[str, ...], losses: Losses) -> str | None:
    """`asked` where it is known there, else the nearest; None for a level that nobody knows."""
    if asked in known:
        return asked
    if asked not in _EFFORTS:
        losses.setting("effort", f"the effort {asked!r} is not known there, and was left out")
        return None
    at = _EFFORTS.index(asked)
    near = min(known, key=lambda one: abs(_EFFORTS.index(one) - at))
    losses.setting("effort", f"the effort {asked!r} is asked for as {near!r}")
    return near
