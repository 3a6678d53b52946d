"""The upstream's view of an interaction with refused calls, where the client sends its own.

Each notice is a `model_output` step of its own: the call takes its place again, so that thoughts stand where they
stood. The results follow the model's last step. Where the server holds the interaction (`previous_interaction_id`),
only the results are sent, before all else: it waits for them.
"""

from __future__ import annotations

import msgspec

from proxy.wire.format import TurnCall, TurnCalls
from proxy.wire.gemini_interactions_types import CALL
from proxy.wire.layout import Layout, decoded
from proxy.wire.put_back import is_any_notice, is_notice, refused
from proxy.wire.spelling import Fields, fields_of

_BY_CLIENT = frozenset({"user_input", "function_result", "tool_search_result"})
_STEPS = _BY_CLIENT | {"model_output", "thought"}


def put_back(layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
    """See `Wire.put_back`."""
    results = [_result(call) for call in refused(turn)]
    if at is None:
        return _put_first(layout, results)
    edits: dict[int, bytes] = {}
    left = list(turn)
    for index in range(at, len(layout.items)):
        step = fields_of(decoded(layout.items[index].section.sent), "an input step")
        kind = step.get("type")
        if not _is_step(kind) or kind in _BY_CLIENT:
            if left:
                return None
            for place, sent in edits.items():
                layout.replace_item(place, sent)
            layout.put_behind(index - 1, results)
            return index
        if kind == CALL:
            known = left.pop(0) if left else None
            if known is None or known.notice is not None or known.id != step.get("id"):
                return None
        elif left and kind == "model_output" and is_notice(_only_text(step), left[0]):
            edits[index] = left.pop(0).raw
        elif kind == "model_output" and is_any_notice(_only_text(step), turn):
            return None
    return None


def _put_first(layout: Layout, results: list[bytes]) -> int:
    if layout.is_listed and layout.items:
        for index, placed in enumerate(layout.items):
            if not _is_step(fields_of(decoded(placed.section.sent), "an input step").get("type")):
                # steps and contents do not stand in one list
                layout.replace_item(index, b'{"type":"user_input","content":[' + placed.section.sent + b"]}")
        layout.put_first(results)
        return 0
    given = layout.value(layout.list_key)
    contents = [{"type": "text", "text": given}] if isinstance(given, str) else [given] if given else []
    said = [{"type": "user_input", "content": contents}] if contents else []
    layout.put(layout.list_key, [*map(msgspec.json.decode, results), *said])
    return 0


def _is_step(kind: object) -> bool:
    return isinstance(kind, str) and (kind in _STEPS or kind.endswith(("_call", "_result")))


def _only_text(step: Fields) -> object:
    content = step.get("content")
    if isinstance(content, list) and len(content) == 1:
        return fields_of(content[0], "a content").get("text")
    return content


def _result(call: TurnCall) -> bytes:
    result = {"type": "function_result", "call_id": call.id, "name": call.name, "result": call.notice, "is_error": True}
    return msgspec.json.encode(result)
