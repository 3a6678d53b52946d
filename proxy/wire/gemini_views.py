"""The upstream's view of a Gemini turn with refused calls, where the client sends its own.

A turn is one content of the model, or several in a row: some clients keep the chunks of a stream. Each notice is the
text of a part of its own; the call takes its place again beside the part's signature. The results join those of the
other calls, in the order of the calls: older models know calls by nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from proxy.wire.format import TurnCall, TurnCalls
from proxy.wire.gemini_call import GeminiCall
from proxy.wire.gemini_types import list_of
from proxy.wire.layout import Layout, decoded
from proxy.wire.put_back import insertions, is_any_notice, is_notice, refused, woven
from proxy.wire.spans import Edit, Member, apply_edits, elements, members
from proxy.wire.spelling import Fields, fields_of

_CALL, _RESULT, _SIGNATURE = "functioncall", "functionresponse", "thoughtsignature"
FROM_ELSEWHERE = "skip_thought_signature_validator"
"""What the API documents as the signature of calls that are not its own."""


def turn_call(call: GeminiCall) -> TurnCall:
    known = b"".join(
        key + msgspec.json.encode(value) + b","
        for key, value in ((b'"id":', call.id), (b'"name":', call.name))
        if value
    )
    raw = b"{" + known + b'"args":' + (call.proposed().arguments or "{}").encode() + b"}"
    return TurnCall(call.id, call.name, call.notice, raw if call.notice is not None else b"")


def put_back(layout: Layout, at: int, turn: TurnCalls) -> int | None:
    """See `Wire.put_back`."""
    left = _Left(turn)
    edits: dict[int, bytes] = {}
    end = at
    while end < len(layout.items):
        raw = layout.items[end].section.sent
        content = fields_of(decoded(raw), "a content")
        if content.get("role") != "model":
            break
        sent = left.put_into(raw, content)
        if sent is None:
            return None
        edits[end] = sent
        end += 1
    if left.calls or end == len(layout.items) or not _put_results(layout, end, turn):
        return None
    for index, sent in edits.items():
        if sent != layout.items[index].section.sent:
            layout.replace_item(index, sent)
    return end


class _Left:
    """The calls of a turn that have not been come to yet."""

    def __init__(self, turn: TurnCalls) -> None:
        self.calls = list(turn)
        self._turn = turn
        self._has_put = False

    def put_into(self, raw: bytes, content: Fields) -> bytes | None:
        """A content of the model with the calls in it; None where it is not this turn's."""
        parts = content.get("parts")
        if not isinstance(parts, list):
            return raw
        listed = members(raw)[content.key("parts")]
        kept: list[bytes] = []
        for (start, end), one in zip(elements(raw, listed.start, listed.end), parts, strict=True):
            part = fields_of(one, "a part")
            sent = self._put(raw[start:end], part)
            if sent is None:
                return None
            if not (self._has_put and part.get("text") == "" and len(part) == 1 and len(parts) > 1):
                kept.append(sent)  # all but what vanished pieces of a call have left
        if kept == [raw[start:end] for start, end in elements(raw, listed.start, listed.end)]:
            return raw
        return apply_edits(raw, [Edit(listed.start, listed.end, b"[" + b",".join(kept) + b"]")])

    def _put(self, raw: bytes, part: Fields) -> bytes | None:
        found = members(raw)
        call = part.get(_CALL)
        if call is not None:
            known = self.calls.pop(0) if self.calls else None
            if known is None or known.notice is not None or not _is(fields_of(call, "a function call"), known):
                return None
            return apply_edits(raw, self._without_substitute(raw, part, found))
        if self.calls and part.get("thought") is not True and is_notice(part.get("text"), self.calls[0]):
            self._has_put = True
            at = found[part.key("text")]
            return apply_edits(raw, [Edit(at.key_start, at.end, b'"functionCall":' + self.calls.pop(0).raw)])
        return None if is_any_notice(part.get("text"), self._turn) else raw

    def _without_substitute(self, raw: bytes, part: Fields, found: dict[str, Member]) -> list[Edit]:
        """The call that is signed stands before this one again."""
        signature = part.get(_SIGNATURE)
        if not self._has_put or not isinstance(signature, str) or _plain(signature) != _plain(FROM_ELSEWHERE):
            return []
        keys = list(found)
        place = keys.index(part.key(_SIGNATURE))
        if place:
            return [Edit(found[keys[place - 1]].end, found[keys[place]].end, b"")]
        return [Edit(found[keys[0]].key_start, found[keys[1]].key_start, b"")]


def _plain(signature: str) -> str:
    """Bytes in base64 have two spellings."""
    return signature.replace("-", "+").replace("_", "/").rstrip("=")


def _is(call: Fields, known: TurnCall) -> bool:
    return call.get("name") == known.name and (not known.id or call.get("id") == known.id)


def _put_results(layout: Layout, at: int, turn: TurnCalls) -> bool:
    raw = layout.items[at].section.sent
    content = fields_of(decoded(raw), "a content")
    parts = [fields_of(part, "a part") for part in list_of(content.get("parts"), "'parts'")]
    results = [index for index, part in enumerate(parts) if part.get(_RESULT) is not None]
    if not results:
        if len(refused(turn)) != len(turn):
            return False
        layout.put_behind(at - 1, [b'{"role":"user","parts":[' + b",".join(map(_result, turn)) + b"]}"])
        return True
    listed = members(raw)[content.key("parts")]
    spans = elements(raw, listed.start, listed.end)
    places: dict[int, Sequence[bytes]] = {}
    for place, calls in woven(len(results), turn).items():
        index = results[place] if place < len(results) else results[-1] + 1
        places[index] = [_result(call) for call in calls]
    layout.replace_item(at, apply_edits(raw, insertions(spans, listed.end, places)))
    return True


def _result(call: TurnCall) -> bytes:
    known = {"id": call.id} if call.id else {}
    return msgspec.json.encode({"functionResponse": {**known, "name": call.name, "response": {"error": call.notice}}})
