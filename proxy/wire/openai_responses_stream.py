"""OpenAI Responses, streamed: judged event by event, edited only where a rule asks for it.

1. An event that no rule concerns goes on byte for byte, in the part it came in.
2. A call is judged at the first event that holds its item, where its whole name stands. Its later repetitions (item
   done, terminal event) must bear the same name; what belongs to a call that never began fails the stream.
3. A refused call becomes a message at the same output index: opened, filled and closed at once. What else comes for
   that index vanishes, but for its end, which is the message's. Sequence numbers stay without gaps.
4. A suffix that may be the start of a pseudonym is held, per item and part, until it is decidable; what is held when
   its text ends goes ahead of that end in an event of its own.
5. The terminal event (or `[DONE]`, which some servers send) and all after it is the last part: it waits until the
   step is recorded. An `error` event waits for what follows it, as it may be followed by `response.failed`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from policies.verdict import Refuse
from proxy.wire.format import Lookup, ReplyJudge, StreamStep, TurnCalls
from proxy.wire.openai_responses_events import empty_response, failure, message_id, notice, own_event, text_part
from proxy.wire.openai_responses_item import StreamedItem, TextKind, text_kind
from proxy.wire.openai_responses_reply import item_edits, response_edits
from proxy.wire.openai_responses_types import (
    REPLY_KEYS,
    Event,
    Item,
    call_of,
    computer_name,
    has_failed,
    items_of,
    reply_of,
)
from proxy.wire.openai_responses_views import turn_call
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, apply_edits, quoted, read_value, span_at
from proxy.wire.sse import Framer, name_and_data, with_data
from proxy.wire.verdicts import Verdicts
from trajectory.conversation import Reply, ToolCall
from trajectory.errors import FormatError

_event = msgspec.json.Decoder(Event)
_TERMINAL = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})
_MAX_ITEMS = 4096


class ResponsesStream:
    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self._framer = Framer()
        self._items: dict[object, StreamedItem] = {}
        self._by_id: dict[object, StreamedItem] = {}
        self._verdicts = Verdicts(judge)
        self._response: dict[str, Any] = {}
        self._computer = "computer"
        self._number = -1  # of the last event that was sent
        self._shift = 0  # by how much sequence numbers differ from the upstream's
        self._error = b""  # an error event that waits for what follows it
        self._repeated: dict[str, int] = {}  # values put back, by the kind of repetition they stood in
        self.edited = False
        self.ended = False
        self.failed = False
        self.refused: list[Refuse] = self._verdicts.refused
        self.restored = 0

    def feed(self, part: bytes) -> StreamStep:
        frames = self._framer.feed(part)
        if len(frames) == 1 and not self._error and not self.ended:  # the common case, without a list
            out = self._frame(frames[0])
            return StreamStep(last=out) if self.ended else StreamStep(send=out)
        send: list[bytes] = []
        last: list[bytes] = []
        for frame in frames:
            waiting, self._error = self._error, b""
            out = self._frame(frame)
            (last if self.ended else send).append(waiting + out)
        return StreamStep(b"".join(send), b"".join(last))

    def end(self) -> StreamStep:
        waiting, self._error = self._error, b""
        rest = self._framer.rest()
        # an event without its blank line: judged like any other, as lenient clients read it
        out = waiting + (self._frame(rest) if rest.strip() else rest) + self._error
        held = self._flushed()
        gap = b"\n\n" if held and out.strip() and not out.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")) else b""
        return StreamStep(last=out + gap + held)

    def reply(self) -> Reply:
        return self._reply([item.whole() for item in self._known()])

    def client_reply(self) -> Reply:
        lookup = self._judge.lookup
        return self._reply([item.shown(lookup) for item in self._known()])

    def turn(self) -> TurnCalls:
        known = self._known()
        return tuple(turn_call(item.call, item.whole(), item.refused) for item in known if item.call is not None)

    def error_event(self, code: str, message: str) -> bytes | None:
        """Under the id of the response that fails, and with the sequence numbers that follow."""
        if not self._response:
            return None
        self._number += 2
        known: dict[str, object] = {
            key: self._response[key] for key in ("id", "created_at", "model") if key in self._response
        }
        return failure(code, message, {**empty_response("", status="failed"), **known}, self._number - 1)

    def _known(self) -> list[StreamedItem]:
        """In the order of the output, where that is numbered."""
        return sorted(self._items.values(), key=lambda item: item.index if isinstance(item.index, int) else _MAX_ITEMS)

    def _reply(self, items: list[Item]) -> Reply:
        response = {**self._response, "output": items}
        if not has_failed(response):
            if self.failed:
                response["status"] = "failed"
            elif not self.ended:
                response["status"] = "in_progress"  # whatever it said of itself: its end has not come
        return reply_of(response)

    # --- events ---

    def _frame(self, frame: bytes) -> bytes:
        name, data = name_and_data(frame)
        if not data:
            return frame
        if data.strip() == b"[DONE]":
            held = self._flushed()
            self.ended = True
            return held + frame
        try:
            said = _event.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise FormatError(f"an event of the stream is not one of a response: {e}") from None
        # a key that stands twice, or in another case, could hide a call from us, or from the client
        REPLY_KEYS.check(read_value(data), "an event")
        if name not in ("", "message", said.type) and said.type is not None:
            raise FormatError("an event goes by two names")  # clients read the one or the other
        if said.type is None:
            said.type = name or None
        _check_single(said)
        is_error = said.type == "error" or (said.type is None and said.error is not None)
        self.failed = self.failed or is_error or said.type == "response.failed"
        if isinstance(said.response, dict):
            return self._lifecycle(frame, data, said, said.response)
        if isinstance(said.item, dict):
            return self._item(frame, data, said, said.item)
        if is_error:
            self._error = self._flushed() + self._sent(frame, data, said, [])
            return b""
        return self._detail(frame, data, said)

    def _lifecycle(self, frame: bytes, data: bytes, said: Event, response: dict[str, Any]) -> bytes:
        before = b""
        self._response = response
        self.failed = self.failed or has_failed(response)
        self._computer = computer_name(response.get("tools"))
        if said.type in _TERMINAL:
            before = self._flushed()
            self.ended = True
            for item in self._items.values():
                item.arguments.close()
        edits = response_edits(data, ("response",), response, self._judged, self._lookup("response"))
        if self.ended:
            self._complete(items_of(response))
        return before + self._sent(frame, data, said, edits)

    def _complete(self, output: list[Item]) -> None:
        """The terminal event repeats everything: it is what the SDK hands out in the end. Servers that leave its
        output empty are taken by what they streamed.
        """
        if not output:
            return
        self._items = {}
        for place, raw in enumerate(output):
            call = call_of(raw, self._computer)
            refused = self._judged(call) if call is not None else None
            self._items[place] = StreamedItem(place, raw, call, refused, is_done=True)

    def _item(self, frame: bytes, data: bytes, said: Event, raw: Item) -> bytes:
        key = _key(said, raw)
        is_done = str(said.type).endswith(".done")
        known = self._items.get(key)
        is_new = known is None
        call = call_of(raw, self._computer)
        before = b""
        if known is None:
            known = self._begin(key, raw, call, is_done=is_done)
        else:
            known.meet(raw, call, is_done=is_done)
        if is_done:
            before = self._flush(known)
            known.end()
        at = span_at(data, ["item"])
        if at is None:  # pragma: no cover - the decoder has just seen it
            raise FormatError("an event's item could not be found again")
        if known.refused is not None and not is_done:
            opened = {**notice(raw, ""), "status": "in_progress", "content": []}
            edit = Edit(at.start, at.end, msgspec.json.encode(opened))
            out = self._sent(frame, data, said, [edit])
            return out + self._notice(said, raw, known.refused.message) if is_new else out
        edits = item_edits(data, at.start, at.end, raw, known.refused, self._lookup("item"))
        return before + self._sent(frame, data, said, edits)

    def _begin(self, key: object, raw: Item, call: ToolCall | None, *, is_done: bool = False) -> StreamedItem:
        if len(self._items) >= _MAX_ITEMS:
            raise FormatError(f"more than {_MAX_ITEMS} items in one response")
        item = self._items[key] = StreamedItem(key, raw, call)
        if isinstance(raw.get("id"), str):
            self._by_id[raw["id"]] = item
        if call is not None:
            item.begin()
            arguments = call.arguments if is_done else item.arguments
            item.refused = self._verdicts.begun(call.name, call.id, call.id, arguments)
        return item

    def _notice(self, said: Event, raw: Item, message: str) -> bytes:
        """The rest of the message whose item was just added in place of a refused call."""
        where = {"item_id": message_id(raw), "output_index": said.output_index, "content_index": 0}
        return b"".join(
            (
                self._own("response.content_part.added", {**where, "part": text_part("")}),
                self._own("response.output_text.delta", {**where, "delta": message, "logprobs": []}),
                self._own("response.output_text.done", {**where, "text": message, "logprobs": []}),
                self._own("response.content_part.done", {**where, "part": text_part(message)}),
            )
        )

    def _detail(self, frame: bytes, data: bytes, said: Event) -> bytes:
        """What is neither an item nor a response: pieces and ends of texts, and much that nobody here reads."""
        known = self._items.get(_key(said, None))
        if known is not None and known.refused is not None:
            return self._dropped(said)
        kind, tail = text_kind(said.type)
        if kind is not None:
            return self._text(frame, data, said, kind, tail)
        edits: list[Edit] = []
        before = b""
        if isinstance(said.part, dict) and said.part.get("type") in ("output_text", "refusal"):
            before = self._flush(known, said.content_index) if known is not None and tail == "done" else b""
            edits = self._restored(data, "part")
        elif said.annotation is not None:
            edits = self._restored(data, "annotation")
        return before + self._sent(frame, data, said, edits)

    def _text(self, frame: bytes, data: bytes, said: Event, kind: TextKind, tail: str) -> bytes:
        key = _key(said, None)
        known = self._items.get(key)
        if known is None and not kind.of_call:
            known = self._begin(key, {"type": "message"}, None)
        if known is None or (known.call is None and kind.of_call):
            raise FormatError("arguments came for a tool call that had not begun")
        if kind.of_call and isinstance(said.item_id, str) and self._by_id.get(said.item_id, known) is not known:
            raise FormatError("arguments came for one tool call by their place, and for another by their id")
        part = said.command_index if kind.name == "response.shell_call_command" else said.content_index
        if tail == "done":
            before = self._flush(known, part, kind)
            whole = getattr(said, kind.whole)
            if kind.is_arguments and isinstance(whole, str):
                known.arguments.told_again(whole)
            return before + self._sent(frame, data, said, self._restored(data, kind.whole, kind.levels + 1))
        field = "delta" if tail == "delta" else kind.whole
        piece = said.delta if field == "delta" else getattr(said, kind.whole)
        if kind.is_arguments and isinstance(piece, str):
            known.arguments.add(piece)
        if not isinstance(piece, str):
            return self._sent(frame, data, said, [])
        text = known.text(kind, part, said, self._lookup("delta"))
        out = text.take(piece)
        return self._sent(frame, data, said, _string(data, field, out) if out != piece else [])

    # --- what is sent ---

    def _sent(self, frame: bytes, data: bytes, said: Event, edits: list[Edit]) -> bytes:
        if isinstance(said.sequence_number, int):
            self._number = said.sequence_number + self._shift
            if self._shift and (at := span_at(data, ["sequence_number"])) is not None:
                edits = [*edits, Edit(at.start, at.end, str(self._number).encode())]
        if not edits:
            return frame
        self.edited = True
        # between data lines stands a line end, which JSON has only where a space would do
        return with_data(frame, apply_edits(data, edits).replace(b"\n", b" "))

    def _own(self, name: str, fields: dict[str, object]) -> bytes:
        """An event of our own; those after it count one more."""
        self.edited = True
        self._number += 1
        self._shift += 1
        return own_event(name, self._number, fields)

    def _dropped(self, said: Event) -> bytes:
        self.edited = True
        if isinstance(said.sequence_number, int):
            self._shift -= 1
        return b""

    def _flush(self, item: StreamedItem, part: object = None, kind: TextKind | None = None) -> bytes:
        """What is held of an item (of one part, of one kind of text), in events of their own."""
        return b"".join(self._own(name, fields) for name, fields in item.held(part, kind))

    def _flushed(self) -> bytes:
        return b"".join(self._flush(item) for item in self._items.values())

    # --- verdicts and values ---

    def _judged(self, call: ToolCall) -> Refuse | None:
        """Of a call that a whole response holds, and that its items may have told before."""
        return self._verdicts.again(call.name, call.id, call.id, call.arguments)

    def _restored(self, data: bytes, field: str, levels: int = 1) -> list[Edit]:
        lookup = self._lookup(field)
        at = span_at(data, [field]) if lookup is not None and b"PII_" in data else None
        return span_edits(data, at.start, at.end, lookup, levels) if at is not None and lookup is not None else []

    def _lookup(self, repetition: str) -> Lookup | None:
        """What looks values up; a text comes many times, and its values are counted in its fullest repetition."""
        lookup = self._judge.lookup
        if lookup is None:
            return None

        def counted(token: str) -> str | None:
            value = lookup(token)
            if value is not None:
                self._repeated[repetition] = self._repeated.get(repetition, 0) + 1
                self.restored = max(self.restored, self._repeated[repetition])
            return value

        return counted


def _check_single(said: Event) -> None:
    """Raises FormatError for an event that is several at once: clients go by its type, which says but one."""
    fields = isinstance(said.response, dict) + isinstance(said.item, dict) + (text_kind(said.type)[0] is not None)
    if fields > 1:
        raise FormatError("an event of the stream is several at once")


def _key(said: Event, raw: Item | None) -> object:
    """What an item goes by: its place in the output; its id, with servers that do not number."""
    if isinstance(said.output_index, int):
        return said.output_index
    own = said.item_id if raw is None else raw.get("id")
    return own if isinstance(own, str) else None


def _string(data: bytes, field: str, text: str) -> list[Edit]:
    at = span_at(data, [field])
    return [] if at is None else [Edit(at.start, at.end, quoted(text))]
