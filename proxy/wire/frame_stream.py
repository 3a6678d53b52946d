"""What readers of server-sent events have in common: frames come out of parts, and are taken one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod

from proxy.wire.format import StreamStep
from proxy.wire.sse import Framer


class FrameStream(ABC):
    """`ended` is set by the frame that is the format's terminator: it and all after it is the last part."""

    def __init__(self) -> None:
        self._framer = Framer()
        self.ended = False

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
        # an event without its blank line: judged like any other, as lenient clients read it
        out = self._frame(rest) if rest.strip() else rest
        held = self._flushed()
        gap = b"\n\n" if out.strip() and held else b""
        return StreamStep(last=out + gap + held)

    @abstractmethod
    def _frame(self, frame: bytes) -> bytes:
        """What goes out for one frame. Raises FormatError."""

    @abstractmethod
    def _flushed(self) -> bytes:
        """What was held for lack of more, in events of our own: nothing will come that could decide it."""
