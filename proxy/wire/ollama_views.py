"""The upstream's view of an Ollama message with refused calls, where the client sends its own.

Calls have names and an order, and most often no ids: the results stand among the others in the order of the calls.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.format import TurnCall, TurnCalls
from proxy.wire.layout import Layout, decoded
from proxy.wire.put_back import insertions, refused, without_notices, woven
from proxy.wire.spans import Edit, apply_edits, elements, members, quoted, span_at


def put_back(layout: Layout, at: int, turn: TurnCalls) -> int | None:
    """See `Wire.put_back`."""
    raw = layout.items[at].section.sent
    message = decoded(raw)
    if at + 1 >= len(layout.items) or not isinstance(message, dict) or message.get("role") != "assistant":
        return None
    allowed = [call.name for call in turn if call.notice is None]
    text = message.get("content")
    left = without_notices(text, [call.notice for call in refused(turn)]) if isinstance(text, str) else None
    results = _results_behind(layout, at)
    if left is None or _names(message.get("tool_calls")) != allowed or results != len(allowed):
        return None
    layout.replace_item(at, _with_calls(raw, left, turn))
    for place, calls in woven(results, turn).items():
        layout.put_behind(at + place, [_result(call) for call in calls])
    return at + max(results, 1)


def _with_calls(raw: bytes, text: str, turn: TurnCalls) -> bytes:
    found = members(raw)
    said, listed = found["content"], found.get("tool_calls")
    edits = [Edit(said.start, said.end, quoted(text))]
    spans = elements(raw, listed.start, listed.end) if listed is not None and raw[listed.start] == 0x5B else []
    places = {place: [call.raw for call in calls] for place, calls in woven(len(spans), turn).items()}
    if spans and listed is not None:
        edits += insertions(spans, listed.end, places)
        edits += _moved(raw, spans, [place for place, call in enumerate(turn) if call.notice is None])
    elif listed is not None:
        edits.append(Edit(listed.start, listed.end, b"[" + b",".join(places[0]) + b"]"))
    else:
        edits.append(Edit(said.end, said.end, b',"tool_calls":[' + b",".join(places[0]) + b"]"))
    return apply_edits(raw, edits)


def _moved(raw: bytes, spans: list[tuple[int, int]], places: list[int]) -> list[Edit]:
    """The indices of the calls that the client has, as they were."""
    found = [(span_at(raw, ["function", "index"], *span), place) for span, place in zip(spans, places, strict=True)]
    return [Edit(at.start, at.end, b"%d" % place) for at, place in found if at is not None]


def _results_behind(layout: Layout, at: int) -> int:
    """How many results follow the message at `at`."""
    count = 0
    for placed in layout.items[at + 1 :]:
        message: Any = decoded(placed.section.sent)
        if not isinstance(message, dict) or message.get("role") != "tool":
            break
        count += 1
    return count


def _names(calls: object) -> list[object]:
    listed = calls if isinstance(calls, list) else []
    functions = [call.get("function") if isinstance(call, dict) else None for call in listed]
    return [function.get("name") if isinstance(function, dict) else None for function in functions]


def _result(call: TurnCall) -> bytes:
    known = {"tool_call_id": call.id} if call.id else {}
    return msgspec.json.encode({"role": "tool", "tool_name": call.name, **known, "content": call.notice})
