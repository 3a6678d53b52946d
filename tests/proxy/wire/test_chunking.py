"""Any chunking of the same bytes gives the same events and the same output: for every recorded stream.

Small ones are cut in two at every position and byte by byte, larger ones at random positions that stay the same from
run to run. Rules are on that refuse some of the calls, and one that puts values back.
"""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

from proxy.wire.choose import wire_at, wire_of
from proxy.wire.format import is_signed
from proxy.wire.sse import Framer, data_of
from tests.support.cassettes import Recorded, cassettes, recorded_in
from tests.support.chunks import at_every_cut
from tests.support.judging import Judge, restoring, streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.wire.format import ReplyJudge, Wire
    from trajectory.conversation import Reply

SMALL = 1024
RANDOM_CUTS = (1, 7, 60, 300)
GROUPS = 4


class Stream(NamedTuple):
    name: str
    wire: Wire | None
    """None where nobody reads it."""
    data: bytes


def streams() -> list[Stream]:
    found = []
    for one in (one for cassette in cassettes() for one in recorded_in(cassette)):
        name = wire_of(one.method, one.path)
        if one.is_event_stream or "eventstream" in one.content_type or "ndjson" in one.content_type:
            found.append(Stream(one.name, None if name is None else wire_at(name, target(one)), one.answered))
        if one.is_event_stream and name == "gemini.generate":
            found.append(Stream(f"{one.name} as an array", wire_at(name, one.path), as_array(one.answered)))
    return found


def target(one: Recorded) -> str:
    return f"{one.path}?{one.query}"


def as_array(stream: bytes) -> bytes:
    """What Google sends where nobody asks for events."""
    objects = re.findall(rb"^data: (.*?)\r?$", stream, re.MULTILINE)
    return b"[" + b"\n,\r\n".join(objects) + b"\n]\n"


def chunkings(stream: Stream) -> Iterable[list[bytes]]:
    return at_every_cut(stream.data) if len(stream.data) < SMALL else at_random(stream)


def at_random(stream: Stream) -> Iterator[list[bytes]]:
    source = random.Random(stream.name)
    for cuts in RANDOM_CUTS:
        edges = sorted({0, len(stream.data), *(source.randrange(len(stream.data)) for _ in range(cuts))})
        yield [stream.data[a:b] for a, b in pairwise(edges)]


def test_all_recorded_streams_are_here() -> None:
    found = streams()
    events = [one for one in found if not one.name.endswith("array") and b"data:" in one.data]
    assert len(events) >= 280
    assert len(found) >= 340


@pytest.mark.parametrize("group", range(GROUPS))
def test_any_chunking_gives_the_same_events_and_the_same_output(group: int) -> None:
    for stream in streams()[group::GROUPS]:
        if stream.wire is None:
            assert all(framed(parts) == framed([stream.data]) for parts in chunkings(stream)), stream.name
            continue
        plain = read(stream.wire, Judge(), [stream.data])
        assert plain[0] == stream.data, stream.name
        names = sorted({call.name for call in plain[1].calls})
        for made in judges(names) if len(stream.data) >= SMALL else [judges(names)[-1]]:
            whole = read(stream.wire, made(), [stream.data])
            # a signed reply is not edited: a refused call ends it
            assert is_signed(stream.wire) or whole[1] == plain[1], stream.name
            assert all(read(stream.wire, made(), parts) == whole for parts in chunkings(stream)), stream.name


def judges(names: list[str]) -> list[Callable[[], Judge]]:
    """One that lets all pass, one that refuses the first tool, one that refuses all and puts values back."""
    refusing = [lambda: restoring(names[:1]), lambda: restoring(names)] if names else [restoring]
    return [Judge, *refusing]


def read(wire: Wire, judge: ReplyJudge, parts: list[bytes]) -> tuple[bytes, Reply, Reply, bool, bool]:
    reader = wire.stream(judge)
    out = streamed(reader, parts)
    return out, reader.reply(), reader.client_reply(), reader.ended, reader.failed


def framed(parts: list[bytes]) -> tuple[list[bytes], bytes]:
    framer = Framer()
    frames = [frame for part in parts for frame in framer.feed(part)]
    rest = framer.rest()
    assert b"".join(frames) + rest == b"".join(parts)
    return [data_of(frame) for frame in frames], rest
