"""Server-sent events, framed byte for byte (WHATWG HTML, section 9.2.6, November 2026).

A frame is everything up to and including the blank line that ends an event; joined, frames are the stream.
"""

from __future__ import annotations

import re

from trajectory.errors import FormatError

# A blank line: two line ends in a row, each CRLF, LF or CR, where a CRLF is never taken for two.
_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE = re.compile(rb"\r\n|\n|\r")
_NAMED = re.compile(rb"event: ([a-z_.]+)(\r?\n)data: ([^\r\n]*)\2\2")
_BOM = b"\xef\xbb\xbf"
_CUT = re.compile(rb"(?:\xc2\x85|\xe2\x80[\xa8\xa9])[ \t]*data:")
"""What readers that end a line as Python's `str.splitlines` does take for a data line."""
_FIELD = re.compile(rb"(?:event|id|retry|data)(?::|\Z)")
KEEP_ALIVE = b": waiting\n"
"""A comment. Without a blank line, which some readers take for the end of an event that says nothing."""
GENAI_KEEP_ALIVE = b"\n"
"""Google's own client takes a comment for a piece of JSON, and passes over an empty line."""
MAX_FRAME_BYTES = 16 * 1024 * 1024


class Framer:
    """Cuts a stream, however it is chunked, into whole frames. Raises FormatError for a frame without end.

    Each byte is looked at a bounded number of times, however small the parts are that it comes in.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> list[bytes]:
        if not self._rest and _is_one_frame(part):
            return [part]  # the common case: one event, one part
        # a blank line may have begun in the bytes before: it ends within three of its first
        tail = b"".join(self._rest[-3:])[-3:] if self._rest else b""
        window = tail + part
        if _END.search(window) is None:
            return self._held(part)
        data = b"".join((*self._rest, part))
        self._rest, self._size = [], 0
        frames: list[bytes] = []
        at = 0
        for match in _END.finditer(data, max(0, len(data) - len(window))):
            if match.end() == len(data) and data.endswith(b"\r"):
                break  # perhaps the first half of \r\n
            frames.append(data[at : match.end()])
            at = match.end()
        self._held(data[at:])
        return frames

    def rest(self) -> bytes:
        """What is left without a blank line at its end; the stream ended there."""
        rest, self._rest, self._size = b"".join(self._rest), [], 0
        return rest

    def _held(self, part: bytes) -> list[bytes]:
        if part:
            self._rest.append(part)
            self._size += len(part)
        if self._size > MAX_FRAME_BYTES:
            raise FormatError(f"a server-sent event is longer than {MAX_FRAME_BYTES} bytes")
        return []


def _is_one_frame(part: bytes) -> bool:
    """Whether `part` is one whole frame for sure, its line ends all of one kind."""
    returns = part.count(b"\r")
    if not returns:
        return part.find(b"\n\n") == len(part) - 2 >= 0
    return part.find(b"\r\n\r\n") == len(part) - 4 >= 0 and part.count(b"\n") == returns == part.count(b"\r\n")


def data_of(frame: bytes) -> bytes:
    """The data lines of a frame joined by newlines; empty for comments and fields that carry no data.

    A data line counts also with white space before it, where the standard ignores it: some readers do not. Raises
    FormatError for lines that are neither a field nor a comment, and for whatever else a careless reader could take
    for a data line: to that reader it would be one, and nobody would have judged it.
    """
    _check_cuts(frame)
    if frame.startswith(b"data: ") and frame.endswith(b"\n") and frame.count(b"\n") == 2:
        # one line and a blank one, whose ends are of one kind
        returns = frame.count(b"\r")
        if not returns and frame.endswith(b"\n\n"):
            return frame[6:-2]
        if returns == 2 and frame.endswith(b"\r\n\r\n"):
            return frame[6:-4]
    elif (common := _NAMED.fullmatch(frame)) is not None:
        return common[3]
    found: list[bytes] = []
    for raw in _LINE.split(frame.removeprefix(_BOM)):
        line = raw.lstrip(b" \t")
        if line.startswith(b"data:"):
            found.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line and (b"data:" in line or not (line.startswith(b":") or _FIELD.match(line))):
            raise FormatError("a line of the event stream is neither a field nor a comment")
    return b"\n".join(found)


def _check_cuts(frame: bytes) -> None:
    if not frame.isascii() and _CUT.search(frame) is not None:
        raise FormatError("a line of the event stream holds what some readers take for another line")


def name_and_data(frame: bytes) -> tuple[str, bytes]:
    """The event's name (empty if it has none; of several the last, as the standard has it) and its `data_of`."""
    common = _NAMED.fullmatch(frame)
    if common is not None:
        _check_cuts(frame)
        return common[1].decode(), common[3]
    name = b""
    for raw in _LINE.split(frame.removeprefix(_BOM)):
        line = raw.lstrip(b" \t")
        if line.startswith(b"event:"):
            name = line[7:] if line.startswith(b"event: ") else line[6:]
    return name.decode("utf-8", "replace"), data_of(frame)


def with_data(frame: bytes, data: bytes) -> bytes:
    """`frame` with its data replaced; other lines and the line ends stay. `data` must not hold a line end."""
    ends = _LINE.findall(frame)
    out: list[bytes] = []
    placed = False
    for index, line in enumerate(_LINE.split(frame)):
        end = ends[index] if index < len(ends) else b""
        mark = _BOM if line.startswith(_BOM) else b""
        if not line.removeprefix(_BOM).lstrip(b" \t").startswith(b"data:"):
            out += (line, end)
        elif not placed:
            out += (mark, b"data: ", data, end)
            placed = True
    return b"".join(out)


def event(data: bytes, name: str | None = None) -> bytes:
    """One whole event of our own."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"
