"""Ollama's native stream: one JSON object a line."""

from __future__ import annotations

import json

from proxy.wire.format import ReplyJudge, StreamStep
from proxy.wire.ollama_reply import OllamaReader
from trajectory.errors import FormatError

MAX_LINE_BYTES = 16 * 1024 * 1024


class OllamaStream(OllamaReader):
    """The line that says `done` is the last part, with all after it: it waits until the step is recorded."""

    def __init__(self, judge: ReplyJudge) -> None:
        super().__init__(judge)
        self._rest: list[bytes] = []
        self._size = 0
        self._is_generate = False

    def feed(self, part: bytes) -> StreamStep:
        step = StreamStep()
        if b"\n" not in part:
            self._hold(part)
            return step
        *lines, rest = b"".join((*self._rest, part)).split(b"\n")
        self._rest, self._size = [], 0
        self._hold(rest)
        send: list[bytes] = []
        last: list[bytes] = []
        for line in lines:
            out = self._line(line + b"\n")
            (last if self.ended else send).append(out)
        step.send, step.last = b"".join(send), b"".join(last)
        return step

    def end(self) -> StreamStep:
        rest = b"".join(self._rest)
        self._rest, self._size = [], 0
        # a line without its end: judged like any other, as lenient clients read it
        out = self._line(rest) if rest.strip() else rest
        held = self._own_line()
        gap = b"\n" if held and out.strip() and not out.endswith(b"\n") else b""
        return StreamStep(last=out + gap + held)

    def _line(self, line: bytes) -> bytes:
        inside = line.strip(b" \t\r\n")
        if not inside:
            return line
        self._is_generate = self._is_generate or b'"response"' in inside
        out = self.read(inside)
        before = self._own_line() if self.failed else b""
        if out is inside:
            return before + line
        at = line.index(inside)
        return before + line[:at] + out + line[at + len(inside) :]

    def _own_line(self) -> bytes:
        """What is held, as a line of our own: nothing will come that it could go with."""
        text = self.held()
        if not text:
            return b""
        said = {"response": text} if self._is_generate else {"message": {"role": "assistant", "content": text}}
        line = {"model": self.reply().model or "", **said, "done": False}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    def _hold(self, part: bytes) -> None:
        if part:
            self._rest.append(part)
            self._size += len(part)
        if self._size > MAX_LINE_BYTES:
            raise FormatError(f"a line of the stream is longer than {MAX_LINE_BYTES} bytes")
