"""Tools that take plain text, where every tool takes an object: a function with one text, and back."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from replay.swap.losses import Losses
from replay.swap.neutral import Call, Json, Tool

_SCHEMA: Json = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


def as_function(tool: Tool, losses: Losses) -> Tool:
    what = "it takes plain text: given as a function with one text"
    losses.add("tool_schema", f"tools[{tool.name}]", what)
    return replace(tool, schema=_SCHEMA, is_freeform=False)


def input_of(call: Call, losses: Losses) -> Json:
    """The arguments of a recorded call of such a tool."""
    losses.add("tool_schema", f"tools[{call.name}]", "its recorded inputs were given as a function's")
    return {"input": call.arguments}


def text_of(arguments: str) -> str:
    """What a candidate wrote into the one text; all of it, where it wrote something else."""
    try:
        value = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    text = value.get("input") if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments
