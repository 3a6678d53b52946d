from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from proxy.encoding import Decoder, TooLargeError, codings_of, decoded, is_coded, without_coding
from tests.support.chunks import at_every_cut, cut, cut_positions
from trajectory.errors import FormatError

MANY = 10**8


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


MAKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip of two members": ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "brotli": ("br", lambda data: brotli.compress(data, quality=5)),
    "zstd": ("zstd", zstandard.compress),
    "zstd without its size": ("zstd", lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data)),
    "zstd of two frames": ("zstd", lambda data: zstandard.compress(data[:5]) + zstandard.compress(data[5:])),
}
made_by = pytest.mark.parametrize("how", MAKERS)


def fed(coding: str, parts: list[bytes], max_bytes: int = MANY) -> list[bytes]:
    decoder = Decoder((coding,), max_bytes)
    out = [decoder.feed(part) for part in parts]
    decoder.end()
    return out


@made_by
def test_what_was_compressed_comes_back_at_every_cut(how: str) -> None:
    coding, make = MAKERS[how]
    data = b'{"a": "' + b"x" * 40 + bytes(range(32, 90)) + b'"}'
    for parts in at_every_cut(make(data)):
        assert b"".join(fed(coding, parts)) == data


@made_by
@given(data=st.binary(max_size=3000), repeat=st.integers(1, 200), cuts=cut_positions)
def test_any_body_comes_back_however_it_is_cut(how: str, data: bytes, repeat: int, cuts: list[int]) -> None:
    coding, make = MAKERS[how]
    assert b"".join(fed(coding, cut(make(data * repeat), cuts))) == data * repeat


@made_by
def test_a_body_that_ends_early_goes_on_or_is_damaged_is_not_decoded(how: str) -> None:
    coding, make = MAKERS[how]
    good = make(b"some words, some words, some other words" * 20)
    for end in range(1, len(good)):
        if how.endswith(("members", "frames")) and _is_whole(coding, good[:end]):
            continue
        with pytest.raises(FormatError):
            decoded(good[:end], (coding,), MANY)
    for bad in (good + b"x", good + b"\0\0\0\0\0", b"no " + good, b"plain text"):
        with pytest.raises(FormatError):
            decoded(bad, (coding,), MANY)


def _is_whole(coding: str, data: bytes) -> bool:
    try:
        decoded(data, (coding,), MANY)
    except FormatError:
        return False
    return len(data) < 60  # the first member is a whole body, too


@pytest.mark.parametrize("how", ["gzip", "zlib", "zstd"])
def test_a_failed_checksum_is_no_body(how: str) -> None:
    coding, make = MAKERS[how]
    good = make(b"words" * 50)
    if how == "zstd":
        good = zstandard.ZstdCompressor(write_checksum=True).compress(b"words" * 50)
    with pytest.raises(FormatError):
        decoded(good[:-1] + bytes([good[-1] ^ 1]), (coding,), MANY)


@made_by
def test_a_bomb_is_refused_before_it_is_held(how: str) -> None:
    coding, make = MAKERS[how]
    bomb = make(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="more than 1000000 bytes"):
            decoded(bomb, (coding,), 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
    finally:
        tracemalloc.stop()
    assert len(decoded(make(bytes(1_000_000)), (coding,), 1_000_000)) == 1_000_000


@made_by
def test_a_bomb_that_comes_in_parts_is_refused_as_well(how: str) -> None:
    """No part of it is large: the record of the stream would be."""
    coding, make = MAKERS[how]
    bomb, size = make(bytes(50_000_000)), 1_000_000
    decoder = Decoder((coding,), size)
    with pytest.raises(TooLargeError):
        given = sum(len(decoder.feed(bomb[at : at + 2])) for at in range(0, len(bomb), 2))
        raise AssertionError(given)
    honest = Decoder((coding,), size)
    body = bytes(random.Random(1).choices(b"etaoin shrdlu", k=3_000_000))
    coded = make(body)
    assert b"".join(honest.feed(coded[at : at + 4096]) for at in range(0, len(coded), 4096)) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_an_event_that_was_flushed_comes_out_at_once(coding: str) -> None:
    decoder = Decoder((coding,), MANY)
    for flushed, event in _flushed(coding, [b"data: %d\n\n" % i for i in range(50)]):
        assert decoder.feed(flushed) == event
    decoder.end()


def _flushed(coding: str, events: list[bytes]) -> list[tuple[bytes, bytes]]:
    if coding == "br":
        br = brotli.Compressor()
        made = [(br.process(event) + br.flush(), event) for event in events]
        return [*made, (br.finish(), b"")]
    if coding == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        made = [(zstd.compress(e) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), e) for e in events]
        return [*made, (zstd.flush(), b"")]
    deflate = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    made = [(deflate.compress(event) + deflate.flush(zlib.Z_SYNC_FLUSH), event) for event in events]
    return [*made, (deflate.flush(), b"")]


def test_codings_are_undone_in_the_reverse_of_their_order() -> None:
    headers = (("Content-Encoding", "gzip, BR"), ("content-encoding", "identity"), ("content-encoding", "zstd"))
    assert codings_of(headers) == ("gzip", "br", "zstd")
    body = zstandard.compress(brotli.compress(gzip.compress(b"words")))
    assert decoded(body, codings_of(headers), 100) == b"words"
    with pytest.raises(TooLargeError):  # the bound holds for each of them
        decoded(gzip.compress(gzip.compress(bytes(10_000_000))), ("gzip", "gzip"), 5000)


@pytest.mark.parametrize("named", ["compress", "gzip, aes128gcm", "dcb", "gzip,gzip,gzip,gzip", "gz\xfcip", "*"])
def test_an_unknown_coding_is_not_decoded(named: str) -> None:
    with pytest.raises(FormatError, match="content-encoding"):
        codings_of((("content-encoding", named),))


def test_nothing_is_decoded_where_nothing_was_coded() -> None:
    assert codings_of(()) == codings_of((("Content-Encoding", " Identity "),)) == ()
    assert [is_coded(h) for h in ((), (("Content-Encoding", "identity"),), (("content-encoding", "br"),))] == [
        False, False, True,
    ]  # fmt: skip
    assert decoded(b"", ("gzip",), 10) == b""
    kept = (("X-Kept", "1"),)
    assert without_coding((*kept, ("Content-Encoding", "br"), ("Content-Length", "9"), ("Digest", "x"))) == kept
