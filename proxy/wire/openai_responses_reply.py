"""What becomes of the items of a response: refused calls turn into text, pseudonyms into values. Edits of spans only.

The same items come whole three times in a stream (item added, item done, terminal event) and once in a whole reply:
all of them go through here. Reasoning is never touched, nor is what the provider ran by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from policies.verdict import Refuse
from proxy.wire.format import Lookup, ReplyJudge, ReplyRead
from proxy.wire.openai_responses_events import notice
from proxy.wire.openai_responses_types import REPLY_KEYS, Item, call_of, computer_name, has_failed, items_of, reply_of
from proxy.wire.openai_responses_views import turn_call
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, apply_edits, elements, members, read_json, span_at
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError

Judged = Callable[[ToolCall], Refuse | None]

# Where an item says what a model wrote for the client, and how deep in JSON strings it stands there when it is a
# string itself: arguments are JSON within a JSON string.
_WRITTEN: dict[str, tuple[tuple[str, int], ...]] = {
    "message": (("content", 1),),
    "function_call": (("arguments", 2),),
    "custom_tool_call": (("input", 1),),
    "shell_call": (("action", 1),),
    "local_shell_call": (("action", 1),),
    "computer_call": (("action", 1), ("actions", 1)),
    "apply_patch_call": (("operation", 1),),
    "tool_search_call": (("arguments", 2),),
}


def read_whole(body: bytes, judge: ReplyJudge) -> ReplyRead:
    """Raises FormatError where the body cannot be judged."""
    response, texts = read_json(body)
    if not isinstance(response, dict):
        raise FormatError("the reply is not a response object")
    REPLY_KEYS.check(response, "the reply")
    told: list[tuple[ToolCall, Refuse | None]] = []
    count = 0

    def judged(call: ToolCall) -> Refuse | None:
        verdict = judge.call(call.name, call.id, call.arguments)
        told.append((call, verdict))
        return verdict

    def looked_up(token: str) -> str | None:
        nonlocal count
        value = judge.lookup(token) if judge.lookup is not None else None
        count += value is not None
        return value

    lookup = looked_up if judge.lookup is not None else None
    edits = response_edits(body, (), response, judged, lookup)
    refused = tuple(verdict for _, verdict in told if verdict is not None)
    read = ReplyRead(reply_of(response), body, texts, refused=refused, restored=count)
    read.failed = has_failed(response)
    if refused:
        calls = (item for item in items_of(response) if call_of(item) is not None)
        read.turn = tuple(turn_call(call, item, verdict) for (call, verdict), item in zip(told, calls, strict=True))
    if edits:
        read.client = apply_edits(body, edits)
        read.client_reply = reply_of(read_json(read.client)[0])
    return read


def response_edits(
    data: bytes, path: tuple[str, ...], response: Mapping[str, Any], judged: Judged, lookup: Lookup | None
) -> list[Edit]:
    """What must change in the response that stands at `path` in `data`."""
    output = response.get("output")
    computer = computer_name(response.get("tools"))
    restores = lookup if b"PII_" in data else None
    changes: dict[int, Refuse | None] = {}
    for place, item in enumerate(output if isinstance(output, list) else ()):
        call = call_of(item, computer) if isinstance(item, dict) else None
        verdict = judged(call) if call is not None else None
        if verdict is not None or restores is not None:
            changes[place] = verdict
    if not changes:
        return []
    at = span_at(data, [*path, "output"])
    if at is None or not isinstance(output, list):  # pragma: no cover - the decoder has just seen it
        raise FormatError("a response's output could not be found again")
    spans = elements(data, at.start, at.end)
    edits: list[Edit] = []
    for place, verdict in changes.items():
        edits += item_edits(data, *spans[place], output[place], verdict, restores)
    if restores is not None and (said := span_at(data, [*path, "output_text"])) is not None:
        edits += span_edits(data, said.start, said.end, restores)
    return edits


def item_edits(
    data: bytes, start: int, end: int, item: object, verdict: Refuse | None, lookup: Lookup | None
) -> list[Edit]:
    if not isinstance(item, dict):
        return []
    if verdict is not None:
        return [Edit(start, end, msgspec.json.encode(notice(item, verdict.message)))]
    written = _WRITTEN.get(str(item.get("type"))) if lookup is not None else None
    if written is None or lookup is None or b"PII_" not in data[start:end]:
        return []
    found = members(data, start, end)
    return [
        edit
        for key, levels in written
        if (at := found.get(key)) is not None
        for edit in span_edits(data, at.start, at.end, lookup, levels)
    ]


def restored_item(item: Item, lookup: Lookup) -> Item:
    raw = msgspec.json.encode(item)
    edits = item_edits(raw, 0, len(raw), item, None, lookup)
    restored: Item = msgspec.json.decode(apply_edits(raw, edits)) if edits else item
    return restored
