"""Settings by a table: what a format has no key for is a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import msgspec

from replay.swap.losses import Losses
from replay.swap.neutral import Json, Result, Settings

NOBODY_SPOKE = "nothing is said there before the assistant speaks: a full stop of the user was put in"
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


def one_text(result: Result, losses: Losses) -> str:
    """The text of a result, for a format that takes one."""
    if len(result.texts) > 1:
        losses.add("tool_result", "texts of tool results", "several texts of one result were joined, a line each")
    return "\n".join(result.texts)


def as_object(arguments: str, losses: Losses) -> Json:
    """Arguments for a format that wants an object. What is none stands under `_raw`."""
    try:
        value = msgspec.json.decode(arguments.encode("utf-8", "surrogateescape")) if arguments.strip() else {}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        value = None
    if isinstance(value, dict):
        return value
    losses.add("tool", "arguments of tool calls", "some are no JSON object: their text was given under `_raw`")
    return {"_raw": arguments}
