"""A stream that is one JSON array (Google's APIs without `alt=sse`), cut into its elements.

A frame is an object with what stands before it (the array's bracket, a comma, white space); the array's end is a
frame of its own. Joined, frames are the stream. Objects without an array around them, one after another, are taken
too: lenient clients read them.
"""

from __future__ import annotations

import re

from proxy.wire.sse import MAX_FRAME_BYTES
from trajectory.errors import FormatError

_MARK = re.compile(rb'["\\{}\[\]]')
_BEFORE_FIRST = re.compile(rb"[ \t\r\n]*\[?[ \t\r\n]*")
_BEFORE_NEXT = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")
_ARRAY_END = re.compile(rb"[ \t\r\n]*\]")


class ArrayFramer:
    """Cuts a stream, however it is chunked, into whole frames; looks at each byte once.

    Raises FormatError for what is no such stream, and for an object without end.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._depth = 0  # of the object under way; 0 between objects
        self._in_text = False
        self._skips = False  # the next byte is escaped
        self._has_array = False
        self._has_object = False
        self.is_closed = False

    def feed(self, part: bytes) -> list[bytes]:
        frames: list[bytes] = []
        at = 0
        skip = 0 if self._skips else -1
        self._skips = False
        for match in _MARK.finditer(part):
            if match.start() == skip:
                continue
            if match[0] == b"\\" and self._in_text:
                skip = match.end()
                continue
            if self._ends_frame(match[0]):
                frames.append(self._frame(part[at : match.end()]))
                at = match.end()
        self._skips = skip == len(part)
        self._hold(part[at:])
        return frames

    def rest(self) -> bytes:
        """White space after the last frame. Raises FormatError if there is more: an object that never ended."""
        rest, self._rest, self._size = b"".join(self._rest), [], 0
        if rest.strip() not in (b"", b"["):
            raise FormatError("the stream ended within an object")
        return rest

    def _ends_frame(self, mark: bytes) -> bool:
        if mark == b'"':
            if not self._depth:
                raise FormatError("the stream is not an array of objects")
            self._in_text = not self._in_text
        elif self._in_text:
            return False
        elif mark in b"{[" and (self._depth or mark == b"{"):
            self._depth += 1
        elif mark == b"[":
            if self._has_array or self._has_object:
                raise FormatError("the stream is not an array of objects")
            self._has_array = True
        elif self._depth:
            self._depth -= 1
            return self._depth == 0
        else:
            return True
        return False

    def _frame(self, part: bytes) -> bytes:
        frame = b"".join((*self._rest, part))
        self._rest, self._size = [], 0
        if self.is_closed:
            raise FormatError("something follows the end of the array")
        if frame.endswith(b"]") and b"{" not in frame:
            if not self._has_array or _ARRAY_END.fullmatch(frame.removeprefix(self._opening(frame))) is None:
                raise FormatError("the stream is not an array of objects")
            self.is_closed = True
            return frame
        before = _BEFORE_NEXT if self._has_object else _BEFORE_FIRST
        if before.fullmatch(frame, 0, frame.find(b"{")) is None:
            raise FormatError("the stream is not an array of objects")
        self._has_object = True
        return frame

    def _opening(self, frame: bytes) -> bytes:
        return frame[: frame.find(b"[") + 1] if not self._has_object else b""

    def _hold(self, part: bytes) -> None:
        if not part:
            return
        if not self._depth and part.strip(b" \t\r\n,["):
            raise FormatError("the stream is not an array of objects")
        self._rest.append(part)
        self._size += len(part)
        if self._size > MAX_FRAME_BYTES:
            raise FormatError(f"an object of the stream is longer than {MAX_FRAME_BYTES} bytes")


def object_of(frame: bytes) -> bytes:
    """The object of a frame; empty for the array's end."""
    at = frame.find(b"{")
    return frame[at:] if at >= 0 else b""


def with_object(frame: bytes, data: bytes) -> bytes:
    return frame[: frame.find(b"{")] + data
