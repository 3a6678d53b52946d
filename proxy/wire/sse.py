"""Server-sent events, framed byte for byte (WHATWG HTML, section 9.2.6, November 2026).

A frame is everything up to and including the blank line that ends an event; joined, frames are the stream.
"""

from __future__ import annotations

import re

from trajectory.errors import FormatError

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LINE = re.compile(rb"\r\n|\n|\r")
MAX_FRAME_BYTES = 16 * 1024 * 1024


class Framer:
    """Cuts a stream, however it is chunked, into whole frames. Raises FormatError for a frame without end."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, part: bytes) -> list[bytes]:
        data = self._rest + part if self._rest else part
        if data.count(b"\n\n") == 1 and data.endswith(b"\n\n") and b"\r" not in data:
            self._rest = b""
            return [data]
        frames: list[bytes] = []
        at = 0
        for match in _END.finditer(data):
            if match.end() == len(data) and match[0] == b"\r\r":
                break  # perhaps the first half of \r\r\n
            frames.append(data[at : match.end()])
            at = match.end()
        self._rest = data[at:]
        if len(self._rest) > MAX_FRAME_BYTES:
            raise FormatError(f"a server-sent event is longer than {MAX_FRAME_BYTES} bytes")
        return frames

    def rest(self) -> bytes:
        """What is left without a blank line at its end; the stream ended there."""
        rest, self._rest = self._rest, b""
        return rest


def data_of(frame: bytes) -> bytes:
    """The data lines of a frame joined by newlines; empty for comments and fields that carry no data."""
    if frame.startswith(b"data: ") and frame.count(b"\n") == 2 and b"\r" not in frame:
        return frame[6:-2]
    return b"\n".join(
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in _LINE.split(frame.removeprefix(b"\xef\xbb\xbf"))
        if line.startswith(b"data:")
    )


def with_data(frame: bytes, data: bytes) -> bytes:
    """`frame` with its data replaced; other lines and the line ends stay. `data` must not hold a line end."""
    ends = _LINE.findall(frame)
    lines = _LINE.split(frame)
    out: list[bytes] = []
    placed = False
    for index, line in enumerate(lines):
        end = ends[index] if index < len(ends) else b""
        if not line.removeprefix(b"\xef\xbb\xbf").startswith(b"data:"):
            out += (line, end)
        elif not placed:
            out += (b"data: ", data, end)
            placed = True
    return b"".join(out)


def event(data: bytes, name: str | None = None) -> bytes:
    """One whole event of our own."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"
