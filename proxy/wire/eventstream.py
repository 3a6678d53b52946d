"""Amazon's event stream: binary frames with typed headers and two checksums (AWS SDK documentation, November 2026).

total length, length of the headers, CRC-32 of these 8 bytes; headers; payload; CRC-32 of all before it. A frame whose
checksums fail is none: what is judged is what the client's own reader accepts.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from trajectory.errors import FormatError

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_FRAME_BYTES = 24 * 1024 * 1024
_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")
_LEAST_BYTES = 16
_STRING = 7
# Bytes of a header's value by type; types 6 and 7 carry their own length.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_VARIABLE = (6, _STRING)


@dataclass(frozen=True, slots=True)
class Frame:
    """`headers` are those whose values are strings."""

    raw: bytes
    headers: dict[str, str]
    payload: bytes

    @property
    def is_exception(self) -> bool:
        return self.headers.get(":message-type", "event") != "event"


class FrameReader:
    """Cuts a stream, however it is chunked, into frames. Raises FormatError for what is none."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> list[Frame]:
        self._held.append(part)
        self._size += len(part)
        if self._size < 4 or self._size < self._wanted():
            return []
        data = b"".join(self._held)
        frames: list[Frame] = []
        at = 0
        while len(data) - at >= 4:
            length = _length(data, at)
            if len(data) - at < length:
                break
            frames.append(read_frame(data[at : at + length]))
            at += length
        self._held, self._size = [data[at:]], len(data) - at
        return frames

    def rest(self) -> bytes:
        """What is left without its end; the stream ended there."""
        rest = b"".join(self._held)
        self._held, self._size = [], 0
        return rest

    def _wanted(self) -> int:
        if len(self._held[0]) < 4:
            self._held = [b"".join(self._held)]
        return _length(self._held[0], 0)


def read_frame(raw: bytes) -> Frame:
    """Raises FormatError where the lengths, a checksum or the headers are wrong."""
    if len(raw) < _LEAST_BYTES or _length(raw, 0) != len(raw):
        raise FormatError("a frame of the event stream has another length than it says")
    headers_end = 12 + _PRELUDE.unpack_from(raw)[1]
    crc_at = len(raw) - 4
    if headers_end > crc_at:
        raise FormatError("the headers of a frame of the event stream are longer than the frame")
    if _CRC.unpack_from(raw, 8)[0] != zlib.crc32(raw[:8]) or _CRC.unpack_from(raw, crc_at)[0] != zlib.crc32(
        raw[:crc_at]
    ):
        raise FormatError("a checksum of the event stream is wrong")
    return Frame(raw, _headers(raw[12:headers_end]), raw[headers_end:crc_at])


def encoded(headers: dict[str, str], payload: bytes) -> bytes:
    """A frame of our own."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = _PRELUDE.pack(_LEAST_BYTES + len(packed) + len(payload), len(packed))
    body = prelude + _CRC.pack(zlib.crc32(prelude)) + packed + payload
    return body + _CRC.pack(zlib.crc32(body))


def _length(data: bytes, at: int) -> int:
    length = int.from_bytes(data[at : at + 4])
    if not _LEAST_BYTES <= length <= MAX_FRAME_BYTES:
        raise FormatError("a frame of the event stream has an impossible length")
    return length


def _headers(raw: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(raw):
            name_end = at + 1 + raw[at]
            name, kind = raw[at + 1 : name_end].decode(), raw[name_end]
            at = name_end + 1
            if kind in _VARIABLE:
                size = raw[at] << 8 | raw[at + 1]
                at += 2
            else:
                size = _FIXED[kind]
            value = raw[at : at + size]
            if len(value) != size or name in found:
                raise FormatError("the headers of a frame of the event stream cannot be read")
            found[name] = value.decode() if kind == _STRING else ""
            at += size
    except (IndexError, KeyError, UnicodeDecodeError):
        raise FormatError("the headers of a frame of the event stream cannot be read") from None
    return {name: value for name, value in found.items() if value}


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return bytes([len(key)]) + key + bytes([_STRING]) + len(text).to_bytes(2) + text
