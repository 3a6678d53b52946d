"""The strings of a JSON value, each under the key that says what it is.

Most keys of a model's API are the API's own: `name`, `status` and `id` are protocol there. Two places differ, and
their keys say so:

1. What a tool is given and gives back: its keys are the tool's own, and a `name` in it may be a patient's.
2. Reasoning and summaries that the provider has signed: one changed byte, and it refuses the whole conversation.
"""

from __future__ import annotations

from typing import Any


class ToolKey(str):
    """A key that a tool's author chose: it says nothing of the protocol."""

    __slots__ = ()


class SealedKey(str):
    """A key within something that the provider has signed, and checks when it comes back."""

    __slots__ = ()


_Made = type[ToolKey] | type[SealedKey] | None

_TOOL_DATA = frozenset({"input", "args", "arguments", "response"})  # beside the name of the tool
_SEALED = frozenset({"thinking", "redacted_thinking", "compaction", "reasoning", "thought"})
_SEALS = ("signature", "encrypted_content", "data")


def collected(value: Any) -> tuple[tuple[str, str], ...]:
    """(key, text) of each string, in order; the key is the nearest one above it, empty where there is none."""
    found: list[tuple[str, str]] = []
    _collect(value, "", None, found)
    return tuple(found)


def _collect(value: Any, key: str, made: _Made, found: list[tuple[str, str]]) -> None:
    kind = type(value)
    if kind is str:
        found.append((key if made is None else made(key), value))
    elif kind is dict:
        if made is None and (("type" in value and _is_sealed(value)) or ("thought" in value and _is_signed(value))):
            made = SealedKey
        has_name = made is None and "name" in value and type(value["name"]) is str
        for name, inner in value.items():
            kind = type(inner)
            if kind is str:
                found.append((name if made is None else made(name), inner))
            elif kind is dict or kind is list:
                is_data = (
                    (has_name and name in _TOOL_DATA)
                    or (made is None and name == "input_examples")
                    or (made is None and name == "result" and "call_id" in value)
                )
                _collect(inner, name, ToolKey if is_data else made, found)
    elif kind is list:
        for inner in value:
            _collect(inner, key, made, found)


def _is_sealed(value: dict[str, Any]) -> bool:
    kind = value["type"]
    if type(kind) is not str or kind not in _SEALED:
        return False
    return any(type(value.get(seal)) is str and value[seal] for seal in _SEALS)


def _is_signed(part: dict[str, Any]) -> bool:
    """Gemini marks its thoughts beside their text."""
    signature = part.get("thoughtSignature") or part.get("thought_signature")
    return part["thought"] is True and type(signature) is str
