"""What has to be made to fit: arguments into an object, a result into one text, a conversation that nobody opened."""

from __future__ import annotations

import msgspec

from replay.swap.losses import Losses
from replay.swap.neutral import Json, Result

NOBODY_SPOKE = "nothing is said there before the assistant speaks: a full stop of the user was put in"


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
