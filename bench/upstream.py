"""A scripted model endpoint for benchmarks: canned replies from memory, as cheap as asyncio allows.

The request's model names the behaviour: `bench` answers whole; `bench-n200-i20` streams 200 chunks, one every 20 ms
(`-i0`: at once). Each chunk carries the time it was sent (monotonic ns).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop

_MODEL = re.compile(rb'"model":"bench(?:-n(\d+)-i(\d+))?"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TEXT = "The agent reads a file, calls a tool with arguments and waits for its output before it goes on. " * 13
_PROSE_WORDS = _TEXT.split()


def whole_reply() -> bytes:
    message = {"role": "assistant", "content": _TEXT}
    body = json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1,
            "model": "bench",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 500, "completion_tokens": 320, "total_tokens": 820},
        }
    ).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunk(number: int, count: int) -> bytes:
    text = f"word {_PROSE_WORDS[number % len(_PROSE_WORDS)]} "
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop" if number == count - 1 else None}
    data = json.dumps(
        {
            "id": f"t={time.monotonic_ns()} ",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "bench",
            "choices": [choice],
        }
    )
    frame = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(frame), frame)


_WHOLE = whole_reply()
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_STREAM_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


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
            body, self._buffer = self._buffer[head + 4 : end], self._buffer[end:]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        model = _MODEL.search(body)
        if model is None or model[1] is None:
            self._transport.write(_WHOLE)
            return
        task = asyncio.get_running_loop().create_task(self._stream(int(model[1]), int(model[2]) / 1000))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stream(self, count: int, interval_s: float) -> None:
        self._transport.write(_STREAM_HEAD)
        for number in range(count):
            self._transport.write(chunk(number, count))
            await asyncio.sleep(interval_s)
        self._transport.write(_STREAM_END)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # ends with its parent: the pipe on standard input closes
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
