"""Recorded exchanges once more: an upstream that answers as it did, and a client that asks as it did."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.support.cassettes import Headers, Recorded
from tests.support.listening import Listening
from tests.support.scripted import Asked, piece, read_asked

MARK = "x-recorded"
"""Request header: which of the exchanges this is."""
# Fields of one hop, and what each client and server computes for itself.
_OWN = frozenset({"host", "content-length", "connection", "keep-alive", "transfer-encoding", "accept-encoding"})
_EVENT = re.compile(rb"(?:\r\n|\n|\r){2}")
_CUTS = 5


def of_message(headers: Headers) -> dict[str, str]:
    """Those that go from end to end, by name in lower case; of several equal ones the last."""
    return {name.lower(): value for name, value in headers if name.lower() not in _OWN}


class Reenactor(Listening):
    """`seen` is what arrived, by the place of the recorded exchange."""

    def __init__(self, exchanges: Sequence[Recorded]) -> None:
        super().__init__()
        self._exchanges = exchanges
        self.seen: dict[int, Asked] = {}

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = await read_asked(reader)
            place = int(asked.header(MARK) or "")
            self.seen[place] = asked
            for part in _as_sent(self._exchanges[place], place):
                writer.write(part)
                await writer.drain()


def _as_sent(one: Recorded, place: int) -> Iterator[bytes]:
    """Head and body as they go over the wire: a stream in its own events or cut anywhere, other bodies whole."""
    fields = {**of_message(one.reply_headers), "content-type": one.content_type}
    body = one.coded_reply or one.answered
    is_stream = one.is_event_stream or b"stream" in one.content_type.encode() or "ndjson" in one.content_type
    framing = "transfer-encoding: chunked" if is_stream else f"content-length: {len(body)}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    yield f"HTTP/1.1 {one.status} As recorded\r\n{lines}{framing}\r\n\r\n".encode()
    if not is_stream:
        yield body
        return
    for part in _events(body) if place % 2 else _cut_anywhere(body, place):
        yield piece(part)
    yield piece(b"")


def _events(stream: bytes) -> Iterator[bytes]:
    edges = [0, *(match.end() for match in _EVENT.finditer(stream)), len(stream)]
    yield from (stream[a:b] for a, b in pairwise(edges) if a < b)


def _cut_anywhere(stream: bytes, seed: int) -> Iterator[bytes]:
    source = random.Random(seed)
    edges = sorted({0, len(stream), *(source.randint(0, len(stream)) for _ in range(_CUTS))})
    yield from (stream[a:b] for a, b in pairwise(edges))
