"""Content codings undone (RFC 9110, section 8.4): gzip, deflate, br and zstd, in pieces and within a bound.

1. What is judged is what the other side decodes: a body that ends early, goes on behind its end, or fails its own
   checksum is not decoded at all.
2. A small body may decode to a huge one: nothing beyond the bound is ever held.
3. A decoder gives out all that the bytes so far determine, so that a stream that was flushed at its events stays one.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard

from proxy.arrivals import Headers
from trajectory.errors import FormatError

_MAX_CODINGS = 3
_NAME_LENGTH = len("content-encoding")
_TYPE_LENGTH = len("content-type")
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_WINDOW_BYTES = 64 * 1024 * 1024
"""Largest history that zstd may refer to; RFC 9659 lets senders use 8 MB."""
_MOST_FOLD = 100
"""How many bytes of a stream one of its coded bytes may stand for in the long run; event streams reach some 20."""
_PIECE = 64 * 1024
_ZSTD_PIECE = 256
"""A block of 4 bytes may stand for 128 KB: this bounds what one call can give."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_OF_CODED = frozenset({"content-encoding", "content-length", "content-md5", "digest", "content-digest"})
_CHARSET = re.compile(r"charset\*?\s*=\s*[\"']?([^\"';,\s]*)", re.IGNORECASE)
_TOKEN = re.compile(r"[a-z0-9-]+")


class TooLargeError(FormatError):
    """A body decodes to more than the bound."""


def codings_of(headers: Headers) -> tuple[str, ...]:
    """The codings of a body, in the order in which they were applied; empty if it is as it is.

    Raises FormatError for one that is not known, or more than there is a use for.
    """
    found = tuple(coding for coding in _named(headers) if coding not in ("", "identity"))
    if len(found) > _MAX_CODINGS or any(coding not in _STEPS for coding in found):
        shown = ", ".join(coding if _TOKEN.fullmatch(coding) else "?" for coding in found[:_MAX_CODINGS])
        raise FormatError(f"its content-encoding ({shown[:60]}) is none of gzip, deflate, br and zstd")
    return found


def _named(headers: Headers) -> list[str]:
    values = [value for key, value in headers if len(key) == _NAME_LENGTH and key.lower() == "content-encoding"]
    return [coding.strip().lower() for value in values for coding in value.split(",")] if values else []


def is_coded(headers: Headers) -> bool:
    named = _named(headers)
    return bool(named) and any(coding not in ("", "identity") for coding in named)


def is_utf8(headers: Headers) -> bool:
    """Whether a body is UTF-8 as far as its type says; JSON always is (RFC 8259, section 8.1), but some servers heed
    a charset, and read UTF-7 where others see plain letters.
    """
    types = [value for key, value in headers if len(key) == _TYPE_LENGTH and key.lower() == "content-type"]
    return all(match[1].lower() in _UTF8 for value in types for match in _CHARSET.finditer(value))


def without_coding(headers: Headers) -> Headers:
    """Headers of the same body, decoded: a digest or a length of the coded one would be wrong."""
    return tuple((key, value) for key, value in headers if key.lower() not in _OF_CODED)


def of_coding(headers: Headers) -> Headers:
    """Just those that `without_coding` leaves out."""
    return tuple((key, value) for key, value in headers if key.lower() in _OF_CODED)


def decoded(body: bytes, codings: tuple[str, ...], max_bytes: int) -> bytes:
    """Raises FormatError, and TooLargeError above `max_bytes`."""
    if not body:
        return body  # HEAD, 204 and 304 may name a coding of what they leave out
    decoder = Decoder(codings, max_bytes)
    data = decoder.feed(body)
    decoder.end()
    return data


class Decoder:
    """One body. `max_bytes` bounds what each call of `feed` may give, and what all of them may give beyond what so
    many coded bytes plausibly hold: a stream is recorded, so it must not grow without end from next to nothing.
    """

    def __init__(self, codings: tuple[str, ...], max_bytes: int) -> None:
        self._steps = [_STEPS[coding]() for coding in reversed(codings)]
        self._max_bytes = max_bytes
        self._taken = 0
        self._given = 0

    def feed(self, part: bytes) -> bytes:
        """All that the bytes so far determine and no earlier call gave. Raises FormatError, TooLargeError."""
        self._taken += len(part)
        for step in self._steps:
            try:
                part = step.feed(part, self._max_bytes)
            except (zlib.error, brotli.error, zstandard.ZstdError):
                raise FormatError("it is not compressed as its content-encoding says") from None
        self._given += len(part)
        if self._given > self._max_bytes + _MOST_FOLD * self._taken:
            raise TooLargeError(f"it decodes to more than {_MOST_FOLD} times its own size")
        return part

    def end(self) -> None:
        """The body ends here. Raises FormatError if it should not."""
        if self._taken and not all(step.is_finished for step in self._steps):
            raise FormatError("it is compressed, and ends too early")


class _Step(Protocol):
    @property
    def is_finished(self) -> bool: ...

    def feed(self, data: bytes, max_bytes: int) -> bytes: ...


class _Pieces:
    """Decoded pieces, counted."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise TooLargeError(f"it decodes to more than {self._max_bytes} bytes (max_body_bytes)")
        self._pieces.append(piece)

    def joined(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


def _trailing() -> FormatError:
    return FormatError("something stands behind the end of the compressed body")


class _Zlib:
    """gzip of any number of members; deflate as RFC 9110 means it (zlib), and raw, as some send it."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._inner = zlib.decompressobj(bits) if bits != _DEFLATE else None
        self._head = b""
        self.is_finished = False

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        pieces = _Pieces(max_bytes)
        data = self._head + data
        self._head = b""
        for at in range(0, len(data), _PIECE):  # a rest of the input is copied with each piece of the output
            self._feed(data[at : at + _PIECE], pieces)
        return pieces.joined()

    def _feed(self, data: bytes, pieces: _Pieces) -> None:
        is_full = False
        while data or is_full:
            inner = self._opened(data) if data else self._inner
            if inner is None:
                self._head = data
                return
            given = inner.decompress(data, _PIECE)
            pieces.add(given)
            data = inner.unconsumed_tail or inner.unused_data
            self.is_finished = inner.eof
            is_full = len(given) == _PIECE and not inner.eof

    def _opened(self, data: bytes) -> zlib._Decompress | None:
        """The decompressor for `data`; None where more must come before that can be said."""
        if self.is_finished:
            if self._bits != _GZIP:
                raise _trailing()
            self._inner, self.is_finished = zlib.decompressobj(_GZIP), False
        if self._inner is None:
            if len(data) < 2:
                return None
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._inner = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._inner


_GZIP, _DEFLATE = 16 + zlib.MAX_WBITS, 0


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    @property
    def is_finished(self) -> bool:
        return bool(self._inner.is_finished())

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        pieces = _Pieces(max_bytes)
        if data and self.is_finished:
            raise _trailing()
        is_full = False
        while data or is_full:
            given = self._inner.process(data, output_buffer_limit=_PIECE)
            pieces.add(given)
            data = b""
            is_full = not self.is_finished and (len(given) >= _PIECE or not self._inner.can_accept_more_data())
        return pieces.joined()


class _Zstd:
    """Any number of frames, as RFC 8878 allows."""

    def __init__(self) -> None:
        self._inner: zstandard.ZstdDecompressionObj | None = None
        self._head = b""
        self.is_finished = False

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        pieces = _Pieces(max_bytes)
        at = 0
        data = self._head + data
        self._head = b""
        while at < len(data):
            if self._inner is None:
                if len(data) - at < 4:
                    self._head = data[at:]
                    self.is_finished = False
                    break
                if data[at : at + 4] != _ZSTD_MAGIC:
                    raise FormatError("it is not compressed as its content-encoding says")
                self._inner = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
            piece = data[at : at + _ZSTD_PIECE]
            pieces.add(self._inner.decompress(piece))
            at += len(piece) - len(self._inner.unused_data)
            self.is_finished = self._inner.eof
            if self._inner.eof:
                self._inner = None
        return pieces.joined()


_STEPS: dict[str, Callable[[], _Step]] = {
    "gzip": lambda: _Zlib(_GZIP),
    "x-gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(_DEFLATE),
    "br": _Brotli,
    "zstd": _Zstd,
}
