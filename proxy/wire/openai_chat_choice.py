"""One choice of a streamed chat completion: what the upstream says in it, and what of that the client gets.

The text of a delta comes before its calls, as in a whole message. Held ends of texts and arguments are let out in
the frame that decides them, or in frames of their own ahead of the next thing that is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from policies.redaction.restore import Restorer, json_escape
from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup, TurnCall
from proxy.wire.openai_chat_types import Call, ChunkChoice, Turn, finish_of
from proxy.wire.openai_chat_views import opened, raw_call
from proxy.wire.spans import Edit, Member, elements, escaped, members, quoted, removal, span_at
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError

_MAX_CALLS = 1024
_LEGACY = "function_call"
_NOTHING_ELSE = frozenset({"role", "content", "refusal", "tool_calls", "function_call"})

Delta = dict[str, object]
JudgeCall = Callable[[str, str, ArrivingArguments], Refuse | None]


@dataclass(slots=True)
class Change:
    """What becomes of one choice of a chunk: `before` are deltas that go ahead of it, `edits` concern its bytes."""

    before: list[Delta] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    vanishes: bool = False
    """Nothing of this choice is left in its chunk."""


@dataclass(slots=True)
class _StreamedCall:
    id: str
    name: str
    is_custom: bool = False
    refused: bool = False
    notice: str | None = None
    opened: dict[str, Any] = field(default_factory=dict)
    """Of a refused call: its first delta."""
    sent_index: int = 0
    arguments: ArrivingArguments = field(default_factory=ArrivingArguments)
    shown: list[str] = field(default_factory=list)
    restorer: Restorer | None = None

    def restored(self, text: str, *, is_last: bool) -> str:
        out = text if self.restorer is None else self.restorer.feed(text)
        return self._shown(out + self.flushed() if is_last else out)

    def flushed(self) -> str:
        return "" if self.restorer is None else self.restorer.flush()

    def held(self, key: object) -> Delta | None:
        """What was held of its arguments, as a delta of its own."""
        rest = self._shown(self.flushed())
        if not rest:
            return None
        if key == _LEGACY:
            return {"function_call": {"arguments": rest}}
        inner = {"custom": {"input": rest}} if self.is_custom else {"function": {"arguments": rest}}
        return {"tool_calls": [{"index": self.sent_index, **inner}]}

    def _shown(self, text: str) -> str:
        self.shown.append(text)
        return text


class StreamedChoice:
    """`lookup` restores pseudonyms; None where there is nothing to restore."""

    def __init__(self, judge: JudgeCall, lookup: Lookup | None) -> None:
        self._judge = judge
        self._lookup = lookup
        self._restorer = Restorer(lookup) if lookup is not None else None
        self._calls: dict[object, _StreamedCall] = {}
        self._sent_calls = 0
        self._has_indices = False
        self._after_notice = False
        self._said: list[str] = []
        self._shown: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._said)

    @property
    def shown_text(self) -> str:
        """The text that the client got: values restored, notices of refused calls in it."""
        return "".join(self._shown)

    def calls(self) -> list[ToolCall]:
        return [ToolCall(c.id, c.name, c.arguments.text) for c in self._calls.values()]

    def shown_calls(self) -> list[ToolCall]:
        return [ToolCall(c.id, c.name, "".join(c.shown)) for c in self._calls.values() if not c.refused]

    def turn(self) -> list[TurnCall]:
        return [
            TurnCall(c.id, c.name, c.notice, raw_call(c.opened, c.arguments.text) if c.opened else b"")
            for c in self._calls.values()
        ]

    def take(self, chunk: bytes, place: int, choice: ChunkChoice) -> Change | None:
        """Judge the choice at `place` of `chunk`. None if it goes on as it is. Raises FormatError."""
        delta = choice.delta
        if choice.message is not None and choice.message.all_calls():
            raise FormatError("a whole message with tool calls stands in a stream")
        is_last = choice.finish_reason is not None
        change: Change | None = None
        if delta is not None:
            if delta.tool_calls or delta.function_call is not None:
                change = self._take_calls(chunk, place, delta, is_last=is_last)
            elif text := delta.text():
                change = self._take_text(chunk, place, delta, text, is_last=is_last)
        return self._finish(chunk, place, choice, change or Change()) if is_last else change

    def flush(self) -> list[Delta]:
        """Deltas with all that is held: nothing more will come that could decide it."""
        held = self._held_text()
        held += [delta for key, call in self._calls.items() if (delta := call.held(key)) is not None]
        return held

    # --- text ---

    def _take_text(self, chunk: bytes, place: int, delta: Turn, text: str, *, is_last: bool) -> Change | None:
        self._said.append(text)
        if (self._restorer is None and not self._after_notice) or not isinstance(delta.content, str):
            self._shown.append(text)
            return None
        out = self._restored(text, is_last=is_last)
        self._shown.append(out)
        if out == text:
            return None
        at = span_at(chunk, ["choices", place, "delta", "content"])
        if at is None:  # pragma: no cover - the decoder has just seen it
            raise FormatError("a delta could not be found again")
        return Change(edits=[_string_edit(chunk, at, text, out)])

    def _restored(self, text: str, *, is_last: bool) -> str:
        out = text if self._restorer is None else self._restorer.feed(text)
        if is_last and self._restorer is not None:
            out += self._restorer.flush()
        if out and self._after_notice:
            self._after_notice = False
            out = "\n\n" + out
        return out

    def _held_text(self) -> list[Delta]:
        held = self._restorer.flush() if self._restorer is not None else ""
        self._shown.append(held)
        return [{"content": held}] if held else []

    # --- calls ---

    def _take_calls(self, chunk: bytes, place: int, delta: Turn, *, is_last: bool) -> Change:
        here = span_at(chunk, ["choices", place, "delta"])
        if here is None:  # pragma: no cover - the decoder has just seen it
            raise FormatError("a delta could not be found again")
        found = members(chunk, here.start, here.end)
        change = Change()
        said = delta.content if isinstance(delta.content, str) else ""
        if said:
            self._said.append(said)
            out = self._restored(said, is_last=True)
            self._shown.append(out)
        else:
            change.before += self._held_text()
            out = ""
        notices: list[str] = []
        left = self._judged(chunk, found.get("tool_calls"), delta.tool_calls or [], change, notices, is_last=is_last)
        left += self._judged_legacy(chunk, found.get(_LEGACY), delta, change, notices, is_last=is_last)
        out += self._noticed(notices)
        if out != said:
            change.edits.append(_content_edit(chunk, here, found.get("content"), said, out))
        change.vanishes = not (left or out or delta.text() or is_last or found.keys() - _NOTHING_ELSE)
        return change

    def _noticed(self, notices: list[str]) -> str:
        """Notices as text, set off from what was said before by a blank line."""
        if not notices:
            return ""
        text = ("\n\n" if any(self._shown) else "") + "\n\n".join(notices)
        self._shown.append(text)
        self._after_notice = True
        return text

    def _judged(
        self,
        chunk: bytes,
        listed: Member | None,
        calls: list[Call],
        change: Change,
        notices: list[str],
        *,
        is_last: bool,
    ) -> int:
        """Judge the calls of one delta; returns how many are left in it."""
        if listed is None or not calls:
            return 0
        spans = elements(chunk, listed.start, listed.end)
        keys = [self._key(call, position) for position, call in enumerate(calls)]
        change.before += [d for k, c in self._calls.items() if k not in keys and (d := c.held(k)) is not None]
        drop: set[int] = set()
        for position, (key, call) in enumerate(zip(keys, calls, strict=True)):
            known = self._known(key, call, notices)
            known.arguments.add(call.inner.text())
            if known.refused:
                known.opened = known.opened or opened(chunk[slice(*spans[position])])
                drop.add(position)
            else:
                ends = is_last or any(other != key for other in keys[position:])
                change.edits += _call_edits(chunk, spans[position], call, known, is_last=ends)
        if drop and len(drop) == len(spans):
            change.edits.append(Edit(listed.start, listed.end, b"null"))
        elif drop:
            change.edits += removal(chunk, spans, drop)
        return len(spans) - len(drop)

    def _key(self, call: Call, position: int) -> object:
        """What a call goes by: its index; with servers that give none, its id, or its place among those of a delta."""
        index = call.index
        if index is None:
            if isinstance(call.id, str) and call.id:
                return call.id
            if self._has_indices and len(self._calls) > 1:
                raise FormatError("a piece of a tool call does not say which call it belongs to")
            return position
        if type(index) is not int or index < 0:
            raise FormatError("the index of a tool call is no number of a place")
        self._has_indices = True
        return index

    def _known(self, key: object, call: Call, notices: list[str]) -> _StreamedCall:
        """The call that a delta belongs to, judged when it begins: its name is whole then."""
        name = call.inner.name
        known = self._calls.get(key)
        if known is not None:
            if isinstance(name, str) and name not in ("", known.name):
                raise FormatError("a tool call changed its name while it was streamed")
            return known
        if not isinstance(name, str) or not name:
            raise FormatError("a tool call began without its name")
        if len(self._calls) >= _MAX_CALLS:
            raise FormatError(f"more than {_MAX_CALLS} tool calls in one reply")
        self._close_calls()  # the one before is whole once another begins
        known = self._calls[key] = _StreamedCall(str(call.id or ""), name, call.custom is not None)
        verdict = self._judge(name, known.id, known.arguments)
        if verdict is not None:
            known.refused = True
            known.notice = verdict.message
            notices.append(verdict.message)
            return known
        if self._lookup is not None:
            known.restorer = Restorer(self._lookup, partial(json_escape, levels=0 if known.is_custom else 1))
        if key != _LEGACY:
            known.sent_index = self._sent_calls
        self._sent_calls += 1
        return known

    def _judged_legacy(
        self, chunk: bytes, at: Member | None, delta: Turn, change: Change, notices: list[str], *, is_last: bool
    ) -> int:
        """The older function_call: one call, without an index."""
        if at is None or delta.function_call is None:
            return 0
        call = Call(function=delta.function_call)
        known = self._known(_LEGACY, call, notices)
        known.arguments.add(call.inner.text())
        if known.refused:
            change.edits.append(Edit(at.start, at.end, b"null"))
            return 0
        change.edits += _argument_edits(chunk, (at.start, at.end), ["arguments"], call, known, is_last=is_last)
        return 1

    def _close_calls(self) -> None:
        for call in self._calls.values():
            call.arguments.close()

    def _finish(self, chunk: bytes, place: int, choice: ChunkChoice, change: Change) -> Change | None:
        self._close_calls()
        change.before += self.flush()
        if self._calls and not self._sent_calls and finish_of(choice.finish_reason) == "tool_call":
            at = span_at(chunk, ["choices", place, "finish_reason"])
            if at is not None:
                change.edits.append(Edit(at.start, at.end, b'"stop"'))
        return change if change.before or change.edits else None


def _call_edits(chunk: bytes, span: tuple[int, int], call: Call, known: _StreamedCall, *, is_last: bool) -> list[Edit]:
    edits: list[Edit] = []
    if isinstance(call.index, int) and call.index != known.sent_index:
        index = members(chunk, *span)["index"]
        edits.append(Edit(index.start, index.end, str(known.sent_index).encode()))
    path = ["custom", "input"] if call.custom is not None else ["function", "arguments"]
    return edits + _argument_edits(chunk, span, path, call, known, is_last=is_last)


def _argument_edits(
    chunk: bytes, span: tuple[int, int], path: list[str], call: Call, known: _StreamedCall, *, is_last: bool
) -> list[Edit]:
    text = call.inner.input if call.custom is not None else call.inner.arguments
    if not isinstance(text, str):
        known.shown.append(call.inner.text())
        return []
    out = known.restored(text, is_last=is_last)
    at = span_at(chunk, path, *span) if out != text else None
    return [] if at is None else [_string_edit(chunk, at, text, out)]


def _content_edit(chunk: bytes, delta: Member, content: Member | None, said: str, out: str) -> Edit:
    if content is None:
        return Edit(delta.start + 1, delta.start + 1, b'"content":' + quoted(out) + b",")
    if chunk[content.start] != 0x22:
        return Edit(content.start, content.end, quoted(out))
    return _string_edit(chunk, content, said, out)


def _string_edit(chunk: bytes, at: Member, was: str, out: str) -> Edit:
    """`out` in place of the string `was`; where it only adds to the end, the bytes before stay as they are."""
    if out.startswith(was):
        return Edit(at.end - 1, at.end - 1, escaped(out[len(was) :]).encode())
    return Edit(at.start, at.end, quoted(out))
