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

import msgspec

from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import ReplyJudge, TurnCalls
from proxy.wire.frame_stream import FrameStream
from proxy.wire.openai_chat_choice import StreamedChoice
from proxy.wire.openai_chat_edits import Change, Delta
from proxy.wire.openai_chat_types import REPLY_KEYS, Chunk, finish_of, finish_with, tells_of_error, usage_of
from proxy.wire.spans import apply_edits, read_value
from proxy.wire.sse import data_of, event, with_data
from trajectory.conversation import Finish, Reply, Usage
from trajectory.errors import FormatError

_chunk = msgspec.json.Decoder(Chunk)


class ChatStream(FrameStream):
    def __init__(self, judge: ReplyJudge) -> None:
        super().__init__()
        self._judge = judge
        self._choices: dict[int, StreamedChoice] = {}
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._model: str | None = None
        self._reasoning_bytes = 0
        self._latest = b"{}"
        self.edited = False
        self.refused: list[Refuse] = []
        self.restored = 0
        self.failed = False

    def reply(self) -> Reply:
        """As the upstream gave it, refused calls included."""
        states = [self._choices[i] for i in sorted(self._choices)]
        calls = tuple(call for s in states for call in s.calls())
        return Reply(
            text="\n".join(s.text for s in states if s.text),
            calls=calls,
            finish=finish_with(self._finish, has_calls=bool(calls), failed=self.failed),
            usage=self._usage,
            model=self._model,
            reasoning_bytes=self._reasoning_bytes,
        )

    def client_reply(self) -> Reply:
        states = [self._choices[i] for i in sorted(self._choices)]
        text = "\n".join(s.shown_text for s in states if s.shown_text)
        return Reply(text, tuple(call for s in states for call in s.shown_calls()), self._finish)

    def turn(self) -> TurnCalls:
        return tuple(call for i in sorted(self._choices) for call in self._choices[i].turn())

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
        self._note(chunk)
        # a key that stands twice, or in another case, could hide a call from us, or from the client
        REPLY_KEYS.check(read_value(data), "a chunk")
        if not chunk.choices:
            return frame
        self._latest = data
        changes: list[tuple[int, Change]] = []
        for place, choice in enumerate(chunk.choices):
            if choice.finish_reason is not None:
                self._finish = finish_of(choice.finish_reason)
            if tells_of_error(choice):
                self.failed = True
            if choice.delta is not None:
                self._reasoning_bytes += choice.delta.reasoning_bytes
            change = self._choice(choice.index or 0).take(data, place, choice)
            if change is not None:
                changes.append((choice.index or 0, change))
        return self._changed(frame, data, chunk, changes) if changes else frame

    def _note(self, chunk: Chunk) -> None:
        if isinstance(chunk.model, str):
            self._model = chunk.model
        if chunk.usage is not None:
            self._usage = usage_of(chunk.usage)
        if chunk.error is not None:
            self.failed = True

    def _choice(self, index: int) -> StreamedChoice:
        state = self._choices.get(index)
        if state is None:
            lookup = self._looked_up if self._judge.lookup is not None else None
            state = self._choices[index] = StreamedChoice(self._judged, self._judge.passes, lookup)
        return state

    def _changed(self, frame: bytes, data: bytes, chunk: Chunk, changes: list[tuple[int, Change]]) -> bytes:
        before = b"".join(self._own(index, delta) for index, change in changes for delta in change.before)
        edits = [edit for _, change in changes for edit in change.edits]
        self.edited = self.edited or bool(before or edits)
        alone = len(chunk.choices or ()) == 1 and chunk.usage is None
        if alone and changes[0][1].vanishes:
            return before
        return before + with_data(frame, apply_edits(data, edits)) if edits else before + frame

    def _judged(self, name: str, call_id: str, arguments: ArrivingArguments) -> Refuse | None:
        verdict = self._judge.call(name, call_id, arguments)
        if verdict is not None:
            self.refused.append(verdict)
        return verdict

    def _looked_up(self, token: str) -> str | None:
        value = self._judge.lookup(token) if self._judge.lookup is not None else None
        self.restored += value is not None
        return value

    def _flushed(self) -> bytes:
        held = b"".join(self._own(i, delta) for i, state in self._choices.items() for delta in state.flush())
        self.edited = self.edited or bool(held)
        return held

    def _own(self, index: int, delta: Delta) -> bytes:
        """A frame of our own for what was held, with the id and model of the latest one."""
        latest = msgspec.json.decode(self._latest)
        known = {k: latest[k] for k in ("id", "object", "created", "model") if k in latest}
        chunk = {**known, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
        return event(msgspec.json.encode(chunk))
