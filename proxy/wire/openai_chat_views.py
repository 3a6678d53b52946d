"""The upstream's view of an assistant message with refused calls, where the client sends its own.

The calls go back among those that the client has, the notices out of the text; each refused call is answered by a
`tool` message of its own, right behind the assistant's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.format import TurnCall, TurnCalls
from proxy.wire.layout import Layout, decoded
from proxy.wire.put_back import insertions, refused, without_notices, woven
from proxy.wire.spans import Edit, Member, apply_edits, elements, members, quoted


def put_back(layout: Layout, at: int, turn: TurnCalls) -> int | None:
    """See `Wire.put_back`."""
    sent = layout.items[at].section.sent
    message = decoded(sent)
    if at + 1 >= len(layout.items) or not isinstance(message, dict) or message.get("role") != "assistant":
        return None
    given = message.get("tool_calls") or []
    if not isinstance(given, list) or not _are(given, [call.id for call in turn if call.notice is None]):
        return None
    found = members(sent)
    said = _text_edits(sent, found.get("content"), message.get("content"), turn)
    if said is None:
        return None
    layout.replace_item(at, apply_edits(sent, [*said, _call_edit(sent, found.get("tool_calls"), turn)]))
    layout.put_behind(at, [_result(call) for call in refused(turn)])
    return at + 1


def opened(delta: bytes) -> dict[str, Any]:
    """The first delta of a streamed call, to make the whole of."""
    call = decoded(delta)
    return {key: value for key, value in call.items() if key != "index"} if isinstance(call, dict) else {}


def raw_call(begun: dict[str, Any], arguments: str) -> bytes:
    """A call as a request has it: as it began in a stream, with all of its arguments."""
    kind = "custom" if begun.get("custom") is not None else "function"
    inner = {**begun[kind], "input" if kind == "custom" else "arguments": arguments}
    return msgspec.json.encode({**begun, "type": kind, kind: inner})


def _are(given: list[Any], ids: list[str]) -> bool:
    return [call.get("id") if isinstance(call, dict) else None for call in given] == ids


def _text_edits(raw: bytes, at: Member | None, content: object, turn: TurnCalls) -> list[Edit] | None:
    """What takes the notices out of a message's text, or out of one text part of it; None where they are not there."""
    notices = [call.notice for call in refused(turn)]
    if at is None:
        return None
    if isinstance(content, str):
        left = without_notices(content, notices)
        return None if left is None else [Edit(at.start, at.end, quoted(left) if left else b"null")]
    spans = elements(raw, at.start, at.end) if isinstance(content, list) else []
    for (start, end), part in zip(spans, content if isinstance(content, list) else (), strict=True):
        text = part.get("text") if isinstance(part, dict) else None
        left = without_notices(text, notices) if isinstance(text, str) else None
        if left is None:
            continue
        if left:
            text_at = members(raw, start, end)["text"]
            return [Edit(text_at.start, text_at.end, quoted(left))]
        return [Edit(at.start, at.end, b"null")] if len(spans) == 1 else _removed(spans, start)
    return None


def _removed(spans: list[tuple[int, int]], start: int) -> list[Edit]:
    index = next(i for i, span in enumerate(spans) if span[0] == start)
    if index:
        return [Edit(spans[index - 1][1], spans[index][1], b"")]
    return [Edit(spans[0][0], spans[1][0], b"")]


def _call_edit(raw: bytes, at: Member | None, turn: TurnCalls) -> Edit:
    spans = elements(raw, at.start, at.end) if at is not None and raw[at.start] == 0x5B else []
    listed = raw[at.start : at.end] if at is not None and spans else b"[]"
    shift = at.start if at is not None and spans else 0
    inside = [(start - shift, end - shift) for start, end in spans]
    places = {place: [call.raw for call in calls] for place, calls in woven(len(spans), turn).items()}
    calls = apply_edits(listed, insertions(inside, len(listed), places))
    if at is not None:
        return Edit(at.start, at.end, calls)
    close = raw.rindex(b"}")
    return Edit(close, close, b',"tool_calls":' + calls)


def _result(call: TurnCall) -> bytes:
    return msgspec.json.encode({"role": "tool", "tool_call_id": call.id, "content": call.notice})
