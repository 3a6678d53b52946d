"""The upstream's view of a message with refused calls, where the client sends its own.

Each notice is a text block of its own: the call takes its place again, so that thinking and its signatures stand where
they stood. The results go to the beginning of the user's message that follows, where the API wants them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.anthropic_messages_types import is_call
from proxy.wire.format import TurnCall, TurnCalls
from proxy.wire.layout import Layout, decoded
from proxy.wire.put_back import insertions, is_any_notice, is_notice, refused
from proxy.wire.spans import Edit, apply_edits, elements, members, quoted


def put_back(layout: Layout, at: int, turn: TurnCalls) -> int | None:
    """See `Wire.put_back`."""
    if at + 1 >= len(layout.items):
        return None
    answer = _with_calls(layout.items[at].section.sent, turn)
    if answer is None:
        return None
    results = [_result(call) for call in refused(turn)]
    following = layout.items[at + 1].section.sent
    message = decoded(following)
    if isinstance(message, dict) and message.get("role") == "user":
        layout.replace_item(at + 1, _with_results(following, message.get("content"), results))
    elif len(results) == len(turn):
        layout.put_behind(at, [b'{"role":"user","content":[' + b",".join(results) + b"]}"])
    else:
        return None
    layout.replace_item(at, answer)
    return at + 1


def _with_calls(raw: bytes, turn: TurnCalls) -> bytes | None:
    """The assistant's message; None where it is not this turn's."""
    message = decoded(raw)
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return None
    content = message.get("content")
    place = members(raw).get("content")
    if isinstance(content, str) and place is not None and len(turn) == 1 and is_notice(content, turn[0]):
        return apply_edits(raw, [Edit(place.start, place.end, b"[" + turn[0].raw + b"]")])
    if not isinstance(content, list) or place is None:
        return None
    edits: list[Edit] = []
    left = list(turn)
    for (start, end), block in zip(elements(raw, place.start, place.end), content, strict=True):
        kind = block.get("type") if isinstance(block, dict) else None
        if left and kind == "text" and is_notice(block.get("text"), left[0]):
            edits.append(Edit(start, end, _marked(left.pop(0).raw, block)))
        elif kind == "text":
            if is_any_notice(block.get("text"), turn):
                return None
        elif is_call(kind) and not (left and left[0].notice is None and left.pop(0).id == block.get("id")):
            return None
    return None if left else apply_edits(raw, edits)


def _marked(raw: bytes, block: dict[str, Any]) -> bytes:
    """With the mark that a client has put there for the cache."""
    mark = block.get("cache_control")
    return raw if mark is None else raw[: raw.rindex(b"}")] + b',"cache_control":' + msgspec.json.encode(mark) + b"}"


def _with_results(raw: bytes, content: object, results: list[bytes]) -> bytes:
    at = members(raw).get("content")
    if at is None:
        return raw
    if not isinstance(content, list):
        text = b',{"type":"text","text":' + quoted(content) + b"}" if isinstance(content, str) and content else b""
        return apply_edits(raw, [Edit(at.start, at.end, b"[" + b",".join(results) + text + b"]")])
    spans = elements(raw, at.start, at.end)
    return apply_edits(raw, insertions(spans, at.end, {0: results}))


def _result(call: TurnCall) -> bytes:
    result = {"type": "tool_result", "tool_use_id": call.id, "content": call.notice, "is_error": True}
    return msgspec.json.encode(result)
