"""A scripted model and tool endpoint for benchmarks: canned replies from memory, as cheap as asyncio allows.

The first segment of the path names the format. The model that is asked for names the behaviour: `bench` answers whole;
`bench-n200-i20` streams 200 chunks, one every 20 ms (`-i0`: at once). Each chunk carries the time it was sent.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from speech import SPEECHES, Json, Speech

_MODEL = re.compile(rb"bench-n(\d+)-i(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _whole(body: Json) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _stream_head(speech: Speech) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {speech.stream_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + _piece(speech.begins)


_WHOLES = {name.encode(): _whole(speech.whole) for name, speech in SPEECHES.items()}
_HEADS = {name: _stream_head(speech) for name, speech in SPEECHES.items()}


class Endpoint(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour, not by class

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            length = _LENGTH.search(self._buffer, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            asked, self._buffer = self._buffer[:end], self._buffer[end:]
            self._answer(asked)

    def _answer(self, asked: bytes) -> None:
        name = asked.split(b"/", 2)[1]
        model = _MODEL.search(asked)
        if model is None:
            self._transport.write(_WHOLES[name])
            return
        stream = self._stream(SPEECHES[name.decode()], int(model[1]), int(model[2]) / 1000)
        task = asyncio.get_running_loop().create_task(stream)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stream(self, speech: Speech, count: int, interval_s: float) -> None:
        self._transport.write(_HEADS[speech.name])
        for number in range(count):
            self._transport.write(_piece(speech.word(number, time.monotonic_ns())))
            await asyncio.sleep(interval_s)
        self._transport.write(_piece(speech.end(count)) + b"0\r\n\r\n")


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # ends with its parent: the pipe on standard input closes
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
