"""OpenAI chat completions, streamed: judged chunk by chunk, edited only where a rule asks for it.

1. A frame that no rule concerns goes on byte for byte, in the part it came in.
2. A tool call is judged at its first delta, which holds its whole name; a later delta that adds to the name is
   an attack (SDKs concatenate names) and fails the stream.
3. A refused call becomes text at its place in the same frame; its later deltas vanish, the indices of the calls
   after it move up, and a finish reason that speaks of tool calls is mended when none is left.
4. A suffix that may be the start of a pseudonym is held, per choice and field, until it is decidable.
5. `[DONE]` and all after it is the last part: it waits until the step is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from policies.redaction.restore import Restorer, json_escape
from policies.verdict import Refuse
from proxy.wire.format import ReplyJudge, StreamStep
from proxy.wire.openai_chat_types import Call, Chunk, ChunkChoice, finish_of, usage_of
from proxy.wire.spans import Edit, apply_edits, elements, escaped, members, removal, span_at
from proxy.wire.sse import Framer, data_of, with_data
from trajectory.conversation import Finish, Reply, ToolCall, Usage
from trajectory.errors import FormatError

_chunk = msgspec.json.Decoder(Chunk)
_MAX_CALLS = 1024


@dataclass(slots=True)
class _CallState:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)
    refused: bool = False
    sent_index: int = 0
    restorer: Restorer | None = None


@dataclass(slots=True)
class _ChoiceState:
    text: list[str] = field(default_factory=list)
    calls: dict[object, _CallState] = field(default_factory=dict)
    restorer: Restorer | None = None
    last_text_frame: bytes = b""
    last_call_frames: dict[object, bytes] = field(default_factory=dict)
    sent_calls: int = 0
    refused_calls: int = 0


class ChatStream:
    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self._framer = Framer()
        self._choices: dict[int, _ChoiceState] = {}
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._model: str | None = None
        self.edited = False
        self.ended = False
        self.refused: list[Refuse] = []
        self.restored = 0
        self.failed = False

    def feed(self, part: bytes) -> StreamStep:
        frames = self._framer.feed(part)
        if len(frames) == 1 and not self.ended:  # the common case, without a list
            out = self._frame(frames[0])
            return StreamStep(last=out) if self.ended else StreamStep(send=out)
        send: list[bytes] = []
        last: list[bytes] = []
        for frame in frames:
            out = self._frame(frame)
            (last if self.ended else send).append(out)
        return StreamStep(b"".join(send), b"".join(last))

    def end(self) -> StreamStep:
        rest = self._framer.rest()
        held = self._flushed()
        if rest.strip():
            # an event without its blank line: judged like any other, as lenient clients read it
            held += self._frame(rest)
        else:
            held += rest
        return StreamStep(last=held)

    def reply(self) -> Reply:
        states = [self._choices[i] for i in sorted(self._choices)]
        return Reply(
            text="\n".join(t for s in states if (t := "".join(s.text))),
            calls=tuple(ToolCall(c.id, c.name, "".join(c.arguments)) for s in states for c in s.calls.values()),
            finish=self._finish if not self.failed else "error",
            usage=self._usage,
            model=self._model,
        )

    def _frame(self, frame: bytes) -> bytes:
        data = data_of(frame)
        if not data:
            return frame
        if data.strip() == b"[DONE]":
            held = self._flushed()
            self.ended = True
            return held + frame
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise FormatError(f"an event of the stream is not a chat completion chunk: {e}") from None
        if isinstance(chunk.model, str):
            self._model = chunk.model
        if chunk.usage is not None:
            self._usage = usage_of(chunk.usage)
        if chunk.error is not None:
            self.failed = True
        if not chunk.choices:
            return frame
        edits: list[Edit] = []
        before = b""
        for place, choice in enumerate(chunk.choices):
            before += self._choice(frame, data, place, choice, edits)
        if not edits:
            return before + frame if before else frame
        self.edited = True
        if any(edit.start < 0 for edit in edits):
            return before  # nothing of this frame is left
        return before + with_data(frame, apply_edits(data, edits))

    def _choice(self, frame: bytes, data: bytes, place: int, choice: ChunkChoice, edits: list[Edit]) -> bytes:
        """Judge one choice of a chunk; append what must change to `edits`, return frames that must come before."""
        state = self._choices.get(choice.index)
        if state is None:
            state = self._choices[choice.index] = _ChoiceState()
        before = b""
        delta = choice.delta
        if delta is not None:
            if delta.tool_calls or delta.function_call is not None:
                members(data)
                before += self._calls(data, place, choice, state, edits)
            text = delta.text()
            if text:
                state.text.append(text)
                if self._judge.lookup is not None and isinstance(delta.content, str):
                    self._restore_text(frame, data, place, text, state, edits)
        if choice.finish_reason is not None:
            self._finish = finish_of(choice.finish_reason)
            before += self._flush_choice(state)
            if state.refused_calls and not state.sent_calls:
                at = span_at(data, ["choices", place, "finish_reason"])
                if at is not None and self._finish == "tool_call":
                    edits.append(Edit(at.start, at.end, b'"stop"'))
        return before

    def _calls(self, data: bytes, place: int, choice: ChunkChoice, state: _ChoiceState, edits: list[Edit]) -> bytes:
        delta = choice.delta
        assert delta is not None
        drop: set[int] = set()
        notices: list[str] = []
        at = span_at(data, ["choices", place, "delta", "tool_calls"])
        spans = elements(data, at.start, at.end) if at is not None and delta.tool_calls else []
        before = b""
        for position, call in enumerate(delta.tool_calls or ()):
            key: object = call.index if isinstance(call.index, int) else (call.id or position)
            before += self._flush_text(state)
            known = state.calls.get(key)
            if known is None:
                known = self._new_call(key, call, state, notices)
            elif isinstance(call.inner.name, str) and call.inner.name not in ("", known.name):
                raise FormatError("a tool call changed its name while it was streamed")
            known.arguments.append(call.inner.text())
            if known.refused:
                drop.add(position)
                continue
            start, end = spans[position]
            if isinstance(call.index, int) and call.index != known.sent_index:
                index = members(data, start, end)["index"]
                edits.append(Edit(index.start, index.end, str(known.sent_index).encode()))
            self._restore_arguments(data, start, end, call, known, edits)
        before += self._legacy(data, place, choice, state, edits, notices)
        self._drop(data, place, choice, spans, drop, notices, edits)
        return before

    def _new_call(self, key: object, call: Call, state: _ChoiceState, notices: list[str]) -> _CallState:
        name = call.inner.name
        if not isinstance(name, str) or not name:
            raise FormatError("a tool call began without its name")
        if len(state.calls) >= _MAX_CALLS:
            raise FormatError(f"more than {_MAX_CALLS} tool calls in one reply")
        known = state.calls[key] = _CallState(str(call.id or ""), name)
        verdict = self._judge.call(name, known.id)
        if verdict is None:
            known.sent_index = state.sent_calls
            state.sent_calls += 1
        else:
            known.refused = True
            state.refused_calls += 1
            self.refused.append(verdict)
            notices.append(verdict.message)
        return known

    def _legacy(
        self, data: bytes, place: int, choice: ChunkChoice, state: _ChoiceState, edits: list[Edit], notices: list[str]
    ) -> bytes:
        """The older function_call: one call, without an index."""
        function = choice.delta.function_call if choice.delta else None
        if function is None:
            return b""
        known = state.calls.get("function_call")
        if known is None:
            known = self._new_call("function_call", Call(function=function), state, notices)
        elif isinstance(function.name, str) and function.name not in ("", known.name):
            raise FormatError("a function call changed its name while it was streamed")
        known.arguments.append(function.text())
        if known.refused:
            at = span_at(data, ["choices", place, "delta", "function_call"])
            if at is not None:
                edits.append(Edit(at.start, at.end, b"null"))
        return self._flush_text(state)

    def _drop(
        self,
        data: bytes,
        place: int,
        choice: ChunkChoice,
        spans: list[tuple[int, int]],
        drop: set[int],
        notices: list[str],
        edits: list[Edit],
    ) -> None:
        delta = choice.delta
        if delta is None or not (drop or notices):
            return
        if drop and len(drop) == len(spans) and not notices and choice.finish_reason is None and not delta.text():
            edits.append(Edit(-1, -1, b""))  # only more arguments of refused calls: the whole frame goes
            return
        here = span_at(data, ["choices", place, "delta"])
        if here is None:  # pragma: no cover - the decoder has just seen it
            raise FormatError("a delta could not be found again")
        found = members(data, here.start, here.end)
        if drop and len(drop) < len(spans):
            edits += removal(data, spans, drop)
        elif drop:
            calls = found["tool_calls"]
            edits.append(Edit(calls.start, calls.end, b"null"))
        if notices:
            text = escaped("\n\n".join(notices) + "\n").encode()
            content = found.get("content")
            if content is None:
                edits.append(Edit(here.start + 1, here.start + 1, b'"content":"' + text + b'",'))
            elif data[content.start] == 0x22:
                edits.append(Edit(content.end - 1, content.end - 1, text))
            else:
                edits.append(Edit(content.start, content.end, b'"' + text + b'"'))

    def _restore_text(
        self, frame: bytes, data: bytes, place: int, text: str, state: _ChoiceState, edits: list[Edit]
    ) -> None:
        if state.restorer is None:
            state.restorer = Restorer(self._looked_up, lambda value: value)
        state.last_text_frame = frame
        out = state.restorer.feed(text)
        if out != text:
            at = span_at(data, ["choices", place, "delta", "content"])
            if at is not None:
                edits.append(Edit(at.start, at.end, b'"' + escaped(out).encode() + b'"'))

    def _restore_arguments(
        self, data: bytes, start: int, end: int, call: Call, known: _CallState, edits: list[Edit]
    ) -> None:
        inner = call.inner
        text = inner.arguments if isinstance(inner.arguments, str) else inner.input
        if self._judge.lookup is None or not isinstance(text, str) or not text:
            return
        if known.restorer is None:
            levels = 1 if call.custom is None else 0
            known.restorer = Restorer(self._looked_up, lambda value: json_escape(value, levels))
        out = known.restorer.feed(text)
        if out != text:
            keys = ["custom", "input"] if call.custom is not None else ["function", "arguments"]
            at = span_at(data, keys, start, end)
            if at is not None:
                edits.append(Edit(at.start, at.end, b'"' + escaped(out).encode() + b'"'))

    def _looked_up(self, token: str) -> str | None:
        value = self._judge.lookup(token) if self._judge.lookup is not None else None
        self.restored += value is not None
        return value

    def _flush_text(self, state: _ChoiceState) -> bytes:
        """Held text of a choice, in a copy of the frame it came in."""
        held = state.restorer.flush() if state.restorer is not None else ""
        if not held:
            return b""
        index = next((i for i, s in self._choices.items() if s is state), 0)
        chunk = {"choices": [{"index": index, "delta": {"content": held}, "finish_reason": None}]}
        return _like(state.last_text_frame, chunk)

    def _flush_choice(self, state: _ChoiceState) -> bytes:
        out = self._flush_text(state)
        index = next((i for i, s in self._choices.items() if s is state), 0)
        for call in state.calls.values():
            held = call.restorer.flush() if call.restorer is not None else ""
            if held:
                delta = {"tool_calls": [{"index": call.sent_index, "function": {"arguments": held}}]}
                chunk = {"choices": [{"index": index, "delta": delta, "finish_reason": None}]}
                out += _like(b"", chunk)
        return out

    def _flushed(self) -> bytes:
        return b"".join(self._flush_choice(state) for state in self._choices.values())


def _like(frame: bytes, chunk: Mapping[str, object]) -> bytes:
    """A frame of our own for held text, with the id and model of `frame`, the last one that held such text."""
    known: dict[str, object] = {}
    if frame:
        whole = msgspec.json.decode(data_of(frame))
        known = {k: whole[k] for k in ("id", "object", "created", "model") if k in whole}
    return b"data: " + msgspec.json.encode({**known, **chunk}) + b"\n\n"
