"""Anthropic Messages, streamed: judged event by event, edited only where a rule asks for it.

1. An event that no rule concerns goes on byte for byte, in the part it came in; so do pings and unknown events.
2. A tool call is judged at its `content_block_start`, which holds its whole name and id.
3. A refused call becomes a text block at its index: its start is replaced, its deltas vanish, its stop stays; a stop
   reason that speaks of tool use is mended when no call is left. Accumulators find no gap.
4. A suffix that may be the start of a pseudonym is held, per block, until it is decidable or the block stops.
5. `message_stop`, or an error event, and all after it is the last part: it waits until the step is recorded.
"""

from __future__ import annotations

from typing import Any

import msgspec

from policies.verdict import Refuse
from proxy.wire.anthropic_messages_block import StreamedBlock
from proxy.wire.anthropic_messages_reply import citation_edits
from proxy.wire.anthropic_messages_types import REPLY_KEYS, AnyEvent, Event, finish_of, reply_of, text_block, usage_of
from proxy.wire.format import ReplyJudge, TurnCalls
from proxy.wire.frame_stream import FrameStream
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, apply_edits, quoted, read_value, span_at
from proxy.wire.sse import event, name_and_data, with_data
from trajectory.conversation import Finish, Part, Reply
from trajectory.errors import FormatError

_event = msgspec.json.Decoder(Event)
_any_event = msgspec.json.Decoder(AnyEvent)
_MAX_BLOCKS = 10_000
_KNOWN = frozenset(
    {
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop", "error", "ping",
    }
)  # fmt: skip


class MessagesStream(FrameStream):
    def __init__(self, judge: ReplyJudge) -> None:
        super().__init__()
        self._judge = judge
        self._open: dict[int, StreamedBlock] = {}
        self._blocks: list[StreamedBlock] = []
        self._is_shifted = False
        self._has_calls = False
        self._finish: Finish | None = None
        self._shown_finish: Finish | None = None
        self._usage: dict[str, Any] = {}
        self._model: object = None
        self._id: object = None
        self.edited = False
        self.refused: list[Refuse] = []
        self.restored = 0
        self.failed = False

    def reply(self) -> Reply:
        """As the upstream gave it, refused calls included."""
        return self._reply([block.part() for block in self._blocks], self._finish)

    def client_reply(self) -> Reply:
        return self._reply([block.shown_part() for block in self._blocks], self._shown_finish)

    def turn(self) -> TurnCalls:
        return tuple(block.turn_call() for block in self._blocks if block.is_call)

    def _reply(self, parts: list[Part], finish: Finish | None) -> Reply:
        finish = "error" if self.failed else finish
        return reply_of(parts, finish, usage_of(self._usage or None), self._model, self._id)

    def _frame(self, frame: bytes) -> bytes:
        name, data = name_and_data(frame)
        if not data:
            return frame
        one = _decoded(data, name)
        kind = one.type if isinstance(one.type, str) else name
        if name not in (kind, "", "message") and (name in _KNOWN or (kind in _KNOWN and kind != "ping")):
            # some clients go by the name, others by the type: both must see what was judged
            raise FormatError("the name of an event and the type in its data differ")
        # a key that stands twice, or in another case, could hide a call from us, or from the client
        REPLY_KEYS.check(read_value(data), "an event")
        return self._taken(frame, data, one, kind)

    def _taken(self, frame: bytes, data: bytes, one: Event, kind: str) -> bytes:
        out = frame
        match kind:
            case "content_block_delta":
                out = self._delta(frame, data, one)
            case "content_block_start":
                out = self._start(frame, data, one)
            case "content_block_stop":
                block = self._open.get(_index(one))
                out = self._closed(block) + frame if block is not None else frame
            case "message_start":
                self._begun(one)
            case "message_delta":
                out = self._finished(frame, data, one)
            case "message_stop" | "error":
                out = self._flushed() + frame
                self.ended = True
                self.failed = self.failed or kind == "error"
        return out

    def _begun(self, one: Event) -> None:
        if one.message is not None:
            if one.message.content:
                raise FormatError("a stream begins with content that was not streamed")
            self._model, self._id = one.message.model, one.message.id
            self._count(one.message.usage)

    def _start(self, frame: bytes, data: bytes, one: Event) -> bytes:
        raw = one.content_block
        index = _index(one)
        if raw is None:
            raise FormatError("a content block began without being one")
        if len(self._blocks) >= _MAX_BLOCKS:
            raise FormatError(f"more than {_MAX_BLOCKS} content blocks in one reply")
        self._is_shifted = self._is_shifted or index != len(self._blocks)
        self._has_calls = self._has_calls or raw.is_call
        if self._is_shifted and self._has_calls:
            # SDKs append each block, and give a delta to the one that stands at its index
            raise FormatError("a content block begins at another place than it says")
        self._model = raw.next_model or self._model
        name = raw.call_name() if raw.is_call else ""  # before the block counts: it may have none
        lookup = self._looked_up if self._judge.lookup is not None else None
        block = StreamedBlock(index, raw, lookup)
        before = self._flushed() if index in self._open else b""
        self._open[index] = block
        self._blocks.append(block)
        verdict = self._judge.call(name, raw.call_id, block.arguments) if raw.is_call else None
        if verdict is not None:
            return before + self._refused(frame, data, block, verdict)
        return before + self._edited(frame, data, self._start_edits(data, block))

    def _refused(self, frame: bytes, data: bytes, block: StreamedBlock, verdict: Refuse) -> bytes:
        self.refused.append(verdict)
        at = span_at(data, ["content_block"])
        block.refuse(verdict.message, data[at.start : at.end] if at is not None else b"")
        # text that is there from the start is read by no one who shows text as it comes
        start = self._edited(frame, data, [_replaced(data, ["content_block"], text_block(""))])
        return start + self._own(block.index, {"type": "text_delta", "text": verdict.message})

    def _start_edits(self, data: bytes, block: StreamedBlock) -> list[Edit]:
        """Some servers send all of a block in its start."""
        if self._judge.lookup is None:
            return []
        if block.is_call:
            at = span_at(data, ["content_block", "input"])
            edits = span_edits(data, at.start, at.end, self._looked_up) if at is not None else []
            for edit in edits:
                block.show_input(edit.replacement.decode())
            return edits
        out = block.take_start()
        return [] if out is None else [_replaced(data, ["content_block", "text"], quoted(out))]

    def _delta(self, frame: bytes, data: bytes, one: Event) -> bytes:
        block = self._open.get(_index(one))
        delta = one.delta
        if block is None or delta is None:
            return frame  # of a block that never began: no client can make anything of it
        if block.is_refused:
            block.take(delta)
            self.edited = True
            return b""
        if delta.type == "citations_delta" and self._judge.lookup is not None and b"PII_" in data:
            at = span_at(data, ["delta", "citation"])
            return self._edited(frame, data, citation_edits(data, at.start, at.end, self._looked_up) if at else [])
        out = block.take(delta)
        if out is None:
            return frame
        key = "text" if delta.type == "text_delta" else "partial_json"
        return self._edited(frame, data, [_replaced(data, ["delta", key], quoted(out))])

    def _finished(self, frame: bytes, data: bytes, one: Event) -> bytes:
        before = self._flushed()
        self._count(one.usage)
        finish = finish_of(one.delta.stop_reason) if one.delta is not None else None
        if finish is None:
            return before + frame
        self._finish = self._shown_finish = finish
        is_called = any(block.is_call and not block.is_refused for block in self._blocks)
        if self.refused and not is_called and finish == "tool_call":
            self._shown_finish = "end"
            return before + self._edited(frame, data, [_replaced(data, ["delta", "stop_reason"], b'"end_turn"')])
        return before + frame

    def _count(self, usage: Any) -> None:
        """Counts of later events are totals: they replace those before, where they say something."""
        if isinstance(usage, dict):
            self._usage.update({key: value for key, value in usage.items() if value is not None})

    def _edited(self, frame: bytes, data: bytes, edits: list[Edit]) -> bytes:
        if not edits:
            return frame
        self.edited = True
        return with_data(frame, apply_edits(data, edits))

    def _looked_up(self, token: str) -> str | None:
        value = self._judge.lookup(token) if self._judge.lookup is not None else None
        self.restored += value is not None
        return value

    def _flushed(self) -> bytes:
        return b"".join(self._closed(block) for block in self._open.values())

    def _closed(self, block: StreamedBlock) -> bytes:
        """What was held of a block, in an event of our own: nothing more will come of it."""
        block.close()
        delta = block.flush()
        return b"" if delta is None else self._own(block.index, delta)

    def _own(self, index: int, delta: dict[str, str]) -> bytes:
        self.edited = True
        made = {"type": "content_block_delta", "index": index, "delta": delta}
        return event(msgspec.json.encode(made), "content_block_delta")


def _index(one: Event) -> int:
    if not isinstance(one.index, int) or isinstance(one.index, bool):
        raise FormatError("an event of a content block does not say which")
    return one.index


def _decoded(data: bytes, name: str) -> Event:
    """`name` is what the event goes by where its data has no type."""
    try:
        return _event.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        problem = e
    try:
        said = _any_event.decode(data).type
        kind = said if isinstance(said, str) else name
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kind = "message_start"
    if kind in _KNOWN:
        raise FormatError(f"an event of the stream is not one of a message: {problem}")
    return Event(type=kind)  # of a kind that is not known, and of another shape


def _replaced(data: bytes, path: list[str | int], value: bytes) -> Edit:
    at = span_at(data, path)
    if at is None:  # pragma: no cover - the decoder has just seen it
        raise FormatError("a field of an event could not be found again")
    return Edit(at.start, at.end, value)
