"""The items of a Responses request's `input`: what each says, brings and answers, read once."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from proxy.wire.layout import Layout, Section
from proxy.wire.openai_responses_tools import Offer, definitions, item_offers, without
from proxy.wire.openai_responses_types import call_of
from proxy.wire.spans import span_at
from trajectory.conversation import Message, Opaque, Part, Role, Text, ToolResult
from trajectory.errors import FormatError

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
# Bound to what precedes it, and unreadable or useless once changed: neither searched nor masked.
_BOUND = frozenset({"reasoning", "compaction"})


class InputItem(Struct, frozen=True):
    """`answers` is the id of the call that it answers."""

    offers: tuple[Offer, ...] = ()
    answers: str | None = None
    is_bound: bool = False


def read_item(section: Section) -> InputItem:
    """Raises FormatError for an item that cannot be judged."""
    return (section.original or section).read_as("openai.responses", _input_item)


def _input_item(section: Section) -> InputItem:
    value = section.value()
    if not isinstance(value, dict):
        raise FormatError("an item of 'input' must be an object")
    return InputItem(item_offers(value), _answers(value), str(value.get("type")) in _BOUND)


def _answers(item: dict[str, Any]) -> str | None:
    kind, call_id = item.get("type"), item.get("call_id")
    return call_id if isinstance(kind, str) and kind.endswith("_output") and isinstance(call_id, str) else None


def drop_from_items(layout: Layout, names: frozenset[str]) -> bool:
    """Take tools out of the items that bring some; whether any are left there.

    An item that came with the turn before goes out as it did then.
    """
    left = False
    for index, placed in enumerate(layout.items):
        offers = read_item(placed.section).offers
        kept = [tool for tool in definitions(offers) if tool.name not in names]
        left = left or bool(kept)
        if len(kept) == len(definitions(offers)) or placed.section.original is not None:
            continue
        raw = placed.section.raw
        at = span_at(raw, ["tools"])
        if at is None:  # pragma: no cover - the decoder has just seen it
            raise FormatError("an item's tools could not be found again")
        layout.replace_item(index, without(raw, at, offers, names)[0])
    return left


def message_of(item: object) -> Message:
    if not isinstance(item, dict):
        raise FormatError("an item of 'input' must be an object")
    kind = item.get("type")
    if kind in ("message", None) and "role" in item:
        return Message(_ROLES.get(str(item.get("role")), "user"), _parts(item.get("content")))
    if isinstance(kind, str) and kind.endswith(("_call_output", "_approval_response")):
        call_id = item.get("call_id") or item.get("approval_request_id")
        return Message("tool", (ToolResult(str(call_id or ""), _output(item)),))
    call = call_of(item)
    if call is not None:
        return Message("assistant", (call,))
    by_client = kind in ("additional_tools", "configuration_update", "compaction_trigger", "item_reference", None)
    return Message("system" if by_client else "assistant", (Opaque(str(kind or "item_reference")),))


def _parts(content: object) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Part] = []
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        text = (part.get("text") or part.get("refusal")) if isinstance(part, dict) else None
        parts.append(Text(text) if isinstance(text, str) else Opaque(str(kind or "unknown")))
    return tuple(parts)


def _output(item: dict[str, Any]) -> str:
    """What a tool answered, as text; a shell's output, which has a structure, as its JSON."""
    output = item.get("output")
    if isinstance(output, str):
        return output
    if item.get("type") != "shell_call_output" and isinstance(output, list):
        return "\n".join(part.text for part in _parts(output) if isinstance(part, Text))
    if output is None:
        return "approved" if item.get("approve") is True else ""
    return msgspec.json.encode(output).decode()
