"""streamGenerateContent: chunks that are whole replies with what is new, as server-sent events or one JSON array.

1. A chunk that no rule concerns goes on byte for byte, in the part it came in.
2. An object of the array is held until it is complete: half of it cannot be judged.
3. There is no terminator but the end of the stream (or of the array). A chunk that says why the reply ended is held
   until the next one comes or the stream ends: then it is the last part, and waits until the step is recorded.
"""

from __future__ import annotations

import json
from typing import Protocol

import msgspec

from policies.verdict import Refuse
from proxy.wire import json_stream, sse
from proxy.wire.format import ReplyJudge, StreamStep, TurnCalls
from proxy.wire.gemini_reply import Answer, OwnPart
from proxy.wire.gemini_types import error_of
from proxy.wire.spans import apply_edits
from trajectory.conversation import Reply

_SPACE = b" \t\r\n"


class _Framing(Protocol):
    def feed(self, part: bytes) -> list[bytes]: ...

    def rest(self) -> bytes: ...

    def data_of(self, frame: bytes) -> bytes: ...

    def with_data(self, frame: bytes, data: bytes) -> bytes: ...

    def own(self, data: bytes) -> bytes:
        """A frame of our own behind another."""


class _Events(sse.Framer):
    def data_of(self, frame: bytes) -> bytes:
        return sse.data_of(frame)

    def with_data(self, frame: bytes, data: bytes) -> bytes:
        return sse.with_data(frame, data.replace(b"\n", b" "))  # JSON that stood on several data lines

    def own(self, data: bytes) -> bytes:
        return b"data: " + data + b"\r\n\r\n"


class _Array(json_stream.ArrayFramer):
    def data_of(self, frame: bytes) -> bytes:
        return json_stream.object_of(frame)

    def with_data(self, frame: bytes, data: bytes) -> bytes:
        return json_stream.with_object(frame, data)

    def own(self, data: bytes) -> bytes:
        return b"," + data


class GeminiStream:
    def __init__(self, judge: ReplyJudge) -> None:
        self._answer = Answer(judge)
        self._framing: _Framing | None = None
        self._blank = b""
        self._held = b""
        self._holds = False
        self._has_sent = False
        self.edited = False
        self.ended = False
        self.failed = False
        self.restored = 0
        self.refused: list[Refuse] = self._answer.refused

    def feed(self, part: bytes) -> StreamStep:
        if self._framing is None:
            part = self._blank + part
            if not part.strip(_SPACE):
                self._blank = part
                return StreamStep()
            self._framing = _Array() if part.lstrip(_SPACE)[:1] in b"[{" else _Events()
        send: list[bytes] = []
        last: list[bytes] = []
        for frame in self._framing.feed(part):
            out = self._frame(self._framing, frame)
            (last if self.ended else send).append(out)
        step = StreamStep(b"".join(send), b"".join(last))
        self._has_sent = self._has_sent or bool(step.send)
        return step

    def end(self) -> StreamStep:
        framing = self._framing
        if framing is None:
            return StreamStep(last=self._blank)
        rest = framing.rest()
        # an event without its blank line: judged like any other, as lenient clients read it
        out = self._frame(framing, rest) if rest.strip() else rest
        held, self._held = self._held, b""
        left = self._own(framing, self._answer.flush())
        gap = b"\r\n\r\n" if left and out.strip() and isinstance(framing, _Events) else b""
        return StreamStep(last=held + out + gap + left)

    def reply(self) -> Reply:
        return self._answer.reply()

    def client_reply(self) -> Reply:
        return self._answer.client_reply()

    def turn(self) -> TurnCalls:
        return self._answer.turn()

    def error_event(self, code: str, message: str) -> bytes | None:
        """An error in the shape of the stream that is under way; None if it has not begun."""
        if not self._has_sent or self._framing is None:
            return None
        error = json.dumps(error_of(503, code, message), ensure_ascii=False).encode()
        return self._framing.own(error) + (b"]" if isinstance(self._framing, _Array) else b"")

    def _frame(self, framing: _Framing, frame: bytes) -> bytes:
        """What goes out for `frame`; a chunk that may be the last one is held."""
        data = framing.data_of(frame)
        if not data.strip():
            if isinstance(framing, _Array) and framing.is_closed:
                self.ended = True
                left = self._own(framing, self._answer.flush())
                return self._released() + left + frame
            if self._holds:
                self._held += frame
                return b""
            return frame
        change = self._answer.take(data)
        self.failed, self.restored = self._answer.failed, self._answer.restored
        before = self._own(framing, change.before)
        if change.edits:
            self.edited = True
            frame = framing.with_data(frame, apply_edits(data, change.edits))
        out = self._released() + before
        if self._answer.finish is None:
            return out + frame
        self._held, self._holds = frame, True
        return out

    def _released(self) -> bytes:
        held, self._held, self._holds = self._held, b"", False
        return held

    def _own(self, framing: _Framing, parts: list[tuple[int, OwnPart]]) -> bytes:
        """Chunks of our own for what was held, with the id and model of the others."""
        out = b""
        for index, part in parts:
            self.edited = True
            candidate = {"content": {"parts": [part], "role": "model"}, "index": index}
            out += framing.own(msgspec.json.encode({"candidates": [candidate], **self._answer.identity()}))
        return out
