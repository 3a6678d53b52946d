from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import sse
from proxy.wire.sse import Framer, data_of, event, name_and_data, with_data
from tests.support.chunks import cut, cut_positions
from trajectory.errors import FormatError

_pieces = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"data: a", b"data:b", b": c", b"event: x", b"\xef\xbb\xbf", b"d"]),
    max_size=20,
).map(b"".join)


def framed(parts: list[bytes]) -> tuple[list[bytes], bytes]:
    framer = Framer()
    return [frame for part in parts for frame in framer.feed(part)], framer.rest()


def reference_lines(stream: bytes) -> list[bytes]:
    """Lines as the standard splits them, one at a time."""
    lines, line, at = [], b"", 0
    while at < len(stream):
        if stream[at : at + 2] == b"\r\n":
            lines.append(line)
            line, at = b"", at + 2
        elif stream[at : at + 1] in (b"\r", b"\n"):
            lines.append(line)
            line, at = b"", at + 1
        else:
            line, at = line + stream[at : at + 1], at + 1
    return [*lines, line]


@given(_pieces, cut_positions)
def test_any_chunking_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    whole = framed([stream])
    assert framed(cut(stream, cuts)) == whole
    assert framed([stream[i : i + 1] for i in range(len(stream))]) == whole
    assert b"".join(whole[0]) + whole[1] == stream


@given(_pieces)
def test_no_frame_holds_data_of_two_events(stream: bytes) -> None:
    for frame in framed([stream])[0]:
        lines = reference_lines(frame)
        assert lines[-2:] == [b"", b""] or lines == [b"", b""]
        data_lines = [i for i, line in enumerate(lines) if line.startswith(b"data")]
        assert not data_lines or all(lines[i] for i in range(data_lines[0], len(lines) - 2))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\r\n\r", b"\n\r", b"\r\r\n"])
def test_every_mix_of_line_ends_ends_an_event(end: bytes) -> None:
    frames, rest = framed([b"data: a" + end, b"data: b" + end, b"."])
    assert [data_of(frame) for frame in frames] == [b"a", b"b"]
    assert rest == b"."


def test_a_carriage_return_at_the_end_of_a_part_waits_for_its_line_feed() -> None:
    framer = Framer()
    assert framer.feed(b"data: a\r\n\r") == []
    assert framer.feed(b"\ndata: b\n\n") == [b"data: a\r\n\r\n", b"data: b\n\n"]


def test_an_event_in_many_small_parts_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted in bytes searched: at most a few times what arrived."""
    searched = 0
    plain = sse._END

    class Counting:
        def search(self, data: bytes) -> object:
            nonlocal searched
            searched += len(data)
            return plain.search(data)

        def finditer(self, data: bytes, start: int) -> object:
            nonlocal searched
            searched += len(data) - start
            return plain.finditer(data, start)

    monkeypatch.setattr(sse, "_END", Counting())
    framer, size = Framer(), 0
    for part in [b"data: "] + [b"x" * 16] * 20_000 + [b"\n\n"]:
        size += len(part)
        frames = framer.feed(part)
    assert len(frames[0]) == size
    assert searched < 2 * size


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 100)
    framer = Framer()
    assert framer.feed(b"data: " + b"x" * 94) == []
    with pytest.raises(FormatError, match="longer than 100"):
        framer.feed(b"x")


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"\xef\xbb\xbfdata: a\n\n", b"a"),
        (b"event: x\r\nid: 7\r\ndata: a\r\ndata: b\r\n\r\n", b"a\nb"),
        (b": comment\n\n", b""),
        (b"\n\n", b""),
        (b"data\n\n", b""),
        (b"retry: 10\n\n", b""),
        (b"data: a", b"a"),
        (b" data: a\n\n", b"a"),  # ignored by the standard, read by some
    ],
)
def test_data_of_a_frame_is_what_the_standard_says(frame: bytes, data: bytes) -> None:
    assert data_of(frame) == data


@pytest.mark.parametrize(
    "frame",
    [
        b'{"choices":[]}\n\n',
        b': x\x0bdata: {"choices":[]}\n\n',
        b"event: x\x85data: y\n\n",
        b"dat\n\n",
        b"data: a\nB\n",
    ],
)
def test_a_line_that_only_a_careless_reader_takes_for_data_is_refused(frame: bytes) -> None:
    with pytest.raises(FormatError):
        data_of(frame)


def test_replaced_data_keeps_the_other_lines_and_the_line_ends() -> None:
    frame = b"\xef\xbb\xbfdata: a\r\nid: 7\ndata: b\r: c\n\r\n"
    assert with_data(frame, b"new") == b"\xef\xbb\xbfdata: new\r\nid: 7\n: c\n\r\n"
    assert data_of(with_data(event(b"old", "x"), b"new")) == b"new"
    assert event(b"{}", "error") == b"event: error\ndata: {}\n\n"


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (b"event: ping\ndata: {}\n\n", "ping"),
        (b"event: ping\r\ndata: {}\r\n\r\n", "ping"),
        (b"\xef\xbb\xbfevent:ping\ndata:{}\n\n", "ping"),
        (b"data: {}\nevent: ping\n\n", "ping"),
        (b"event: first\nevent: last\ndata: {}\n\n", "last"),
        (b"event: an odd Name\ndata: {}\n\n", "an odd Name"),
        (b"data: {}\n\n", ""),
        (b": event: ping\ndata: {}\n\n", ""),
    ],
)
def test_the_name_of_an_event_is_what_the_standard_says(frame: bytes, name: str) -> None:
    assert name_and_data(frame) == (name, b"{}")


@given(_pieces)
def test_a_name_changes_nothing_about_the_data(frame: bytes) -> None:
    try:
        data = data_of(frame)
    except FormatError:
        with pytest.raises(FormatError):
            name_and_data(frame)
    else:
        assert name_and_data(frame)[1] == data
