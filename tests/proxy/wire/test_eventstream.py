from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.eventstream import MAX_FRAME_BYTES, FrameReader, encoded, read_frame
from tests.support.cassettes import exchanges
from tests.support.chunks import at_every_cut, cut, cut_positions
from trajectory.errors import FormatError

FRAMES = [
    encoded({":message-type": "event", ":event-type": "messageStart"}, b'{"role":"assistant"}'),
    encoded({}, b""),
    encoded({":event-type": "x", "é": "ü"}, bytes(300)),
]


def test_frames_come_out_whole_at_every_cut() -> None:
    stream = b"".join(FRAMES)
    for parts in at_every_cut(stream):
        reader = FrameReader()
        found = [frame for part in parts for frame in reader.feed(part)]
        assert [frame.raw for frame in found] == FRAMES
        assert reader.rest() == b""
    assert found[0].headers == {":message-type": "event", ":event-type": "messageStart"}
    assert (found[0].payload, found[2].headers["é"]) == (b'{"role":"assistant"}', "ü")


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=200)), max_size=5), cut_positions)
def test_what_is_encoded_is_read(frames: list[tuple[str, bytes]], cuts: list[int]) -> None:
    stream = b"".join(encoded({":event-type": name} if name else {}, payload) for name, payload in frames)
    reader = FrameReader()
    found = [frame for part in cut(stream, cuts) for frame in reader.feed(part)]
    assert [(frame.headers.get(":event-type", ""), frame.payload) for frame in found] == frames


@given(st.integers(0, len(FRAMES[0]) - 1), st.integers(1, 255))
def test_a_frame_with_one_changed_byte_is_none(place: int, change: int) -> None:
    raw = bytearray(FRAMES[0])
    raw[place] ^= change
    reader = FrameReader()
    try:
        found = reader.feed(bytes(raw))
    except FormatError:
        return
    assert found == []  # a longer length: more would have to come, and would not fit its checksum
    assert int.from_bytes(raw[:4]) > len(raw)


def test_headers_of_all_types_are_passed_over() -> None:
    packed = b"".join(
        bytes([1]) + name + bytes([kind]) + value
        for name, kind, value in (
            (b"a", 0, b""), (b"b", 1, b""), (b"c", 2, b"1"), (b"d", 3, b"12"), (b"e", 4, b"1234"), (b"f", 5, b"1" * 8),
            (b"g", 6, b"\0\x02hi"), (b"h", 7, b"\0\x02ok"), (b"i", 8, b"1" * 8), (b"j", 9, b"1" * 16),
        )
    )  # fmt: skip
    assert read_frame(_framed(packed)).headers == {"h": "ok"}


def _framed(headers: bytes) -> bytes:
    import struct
    import zlib

    prelude = struct.pack(">II", 16 + len(headers), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers
    return body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    "headers", [b"\x05ab", b"\x01a\x0a", b"\x01a\x07\x00\x09x", b"\x01a\x07", b"\x01\xff\x00", b"\x01a\x00\x01a\x00"]
)
def test_headers_that_cannot_be_read_are_no_frame(headers: bytes) -> None:
    with pytest.raises(FormatError):
        read_frame(_framed(headers))


def test_a_frame_that_claims_too_much_is_refused_before_it_comes() -> None:
    for length in (0, 15, MAX_FRAME_BYTES + 1, 2**32 - 1):
        with pytest.raises(FormatError, match="impossible length"):
            FrameReader().feed(length.to_bytes(4))


def test_many_small_parts_cost_no_more_than_their_bytes() -> None:
    frame = encoded({}, bytes(200_000))
    reader = FrameReader()
    tracemalloc.start()
    found = [one for place in range(len(frame)) for one in reader.feed(frame[place : place + 1])]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [one.raw for one in found] == [frame]
    assert peak < 20_000_000


@pytest.mark.parametrize("path", ["/converse-stream", "/invoke-with-response-stream"])
def test_recorded_streams_are_read_whole(path: str) -> None:
    seen = 0
    for one in exchanges(path):
        if one.reply is None or "eventstream" not in one.content_type:
            continue
        reader = FrameReader()
        frames = reader.feed(one.reply)
        assert b"".join(frame.raw for frame in frames) == one.reply
        assert reader.rest() == b""
        assert all(encoded(frame.headers, frame.payload) == frame.raw for frame in frames)
        seen += 1
    assert seen > 5
