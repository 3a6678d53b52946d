"""The upstream's view of a response with refused calls, where the client sends its own.

Each notice is a message item of its own: the call takes its place again, so that reasoning stands where it stood. The
outputs follow the response's last item, so that what a cache holds of it is one piece. Where the server holds the
response (`previous_response_id`, `conversation`), only the outputs are sent, before all else: it waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from policies.verdict import Refuse
from proxy.wire.format import HeldTurn, TurnCall, TurnCalls
from proxy.wire.layout import Layout, decoded
from proxy.wire.openai_responses_events import message_id
from proxy.wire.openai_responses_types import Item, call_of
from proxy.wire.put_back import is_any_notice, is_notice, refused
from trajectory.conversation import ToolCall

# Results of other kinds cannot be made up (a screenshot), or would not say why (the tools that a search found);
# those of the old local_shell have two shapes.
_OUTPUTS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "shell_call": "shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
}


def turn_call(call: ToolCall, item: Item, verdict: Refuse | None) -> TurnCall:
    raw = msgspec.json.encode(item) if item.get("type") in _OUTPUTS and item.get("call_id") else b""
    return TurnCall(call.id, call.name, verdict.message if verdict is not None else None, raw)


def held_turn(layout: Layout) -> HeldTurn | None:
    conversation = layout.value("conversation")
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
    if isinstance(conversation, str):
        return HeldTurn(conversation, is_latest=True)
    previous = layout.value("previous_response_id")
    return HeldTurn(previous) if isinstance(previous, str) else None


def put_back(layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
    """See `Wire.put_back`."""
    outputs = [_output(call) for call in refused(turn)]
    if at is None:
        return _put_first(layout, outputs)
    edits: dict[int, bytes] = {}
    left = list(turn)
    for index in range(at, len(layout.items)):
        item = decoded(layout.items[index].section.sent)
        if not isinstance(item, dict) or not _is_of_response(item):
            if left and isinstance(item, dict) and _answers(item, turn):
                continue
            if left:
                return None
            for place, sent in edits.items():
                layout.replace_item(place, sent)
            layout.put_behind(index - 1, outputs)
            return index
        if left and left[0].notice is not None and _is_in_place_of(item, left[0]):
            edits[index] = _referred(left.pop(0).raw) if item.get("type") == "item_reference" else left.pop(0).raw
        elif left and left[0].notice is None and _is(item, left[0]):
            left.pop(0)
        elif call_of(item) is not None or is_any_notice(_only_text(item), turn):
            return None
    return None


def _put_first(layout: Layout, outputs: list[bytes]) -> int | None:
    if layout.items:
        layout.put_first(outputs)
        return 0
    said = layout.value("input")
    message = [{"role": "user", "content": said}] if isinstance(said, str) else []
    layout.put("input", [*map(msgspec.json.decode, outputs), *message])
    return 0


def _is_of_response(item: Item) -> bool:
    """Whether it is, or may be, something that a response holds."""
    kind = item.get("type")
    if kind in ("message", None):
        return item.get("role") == "assistant"
    return isinstance(kind, str) and not kind.endswith("_output")


def _answers(item: Item, turn: Iterable[TurnCall]) -> bool:
    """Some clients let each result follow its call."""
    return str(item.get("type")).endswith("_output") and item.get("call_id") in {call.id for call in turn}


def _is_in_place_of(item: Item, call: TurnCall) -> bool:
    if item.get("type") == "item_reference":
        return item.get("id") == message_id(msgspec.json.decode(call.raw))
    return item.get("type") in ("message", None) and is_notice(_only_text(item), call)


def _only_text(item: Item) -> object:
    content = item.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        return content[0].get("text")
    return content


def _is(item: Item, call: TurnCall) -> bool:
    if item.get("type") == "item_reference":
        return bool(call.raw) and item.get("id") == msgspec.json.decode(call.raw).get("id")
    found = call_of(item)
    return found is not None and found.id == call.id


def _referred(raw: bytes) -> bytes:
    """A reference to the call, where the client referred to the notice: the server holds it."""
    item = msgspec.json.decode(raw)
    return msgspec.json.encode({"type": "item_reference", "id": item["id"]}) if isinstance(item.get("id"), str) else raw


def _output(call: TurnCall) -> bytes:
    item: Mapping[str, Any] = msgspec.json.decode(call.raw)
    kind = item["type"]
    told: dict[str, object] = {"output": call.notice}
    if kind == "shell_call":
        told = {"output": [{"stdout": "", "stderr": call.notice, "outcome": {"type": "exit", "exit_code": 1}}]}
    elif kind == "apply_patch_call":
        told = {"status": "failed", "output": call.notice}
    by = {"caller": item["caller"]} if item.get("caller") is not None else {}
    return msgspec.json.encode({"type": _OUTPUTS[kind], "call_id": item["call_id"], **told, **by})
