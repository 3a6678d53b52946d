"""An upstream that misbehaves as the request's `model` (or, for a tool, the last segment of its path) says."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WHOLE = {
    "id": "c-1",
    "object": "chat.completion",
    "model": "good",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
}


def event(content: str, finish: str | None = None) -> bytes:
    delta = {"content": content} if content else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c-1", "object": "chat.completion.chunk", "model": "good", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def answer(kind: str, body: bytes, *, length: int | None = None) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body) if length is None else length}\r\n"
    return f"{head}connection: close\r\n\r\n".encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Unruly:
    """`async with` it to listen; `origin` is where. `asked` counts what arrived."""

    def __init__(self) -> None:
        self.asked = 0
        self.origin = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._behaviours: dict[str, Callable[[asyncio.StreamReader, asyncio.StreamWriter, bool], Awaitable[None]]] = {
            "good": self._good,
            "stalls": self._stalls,
            "stalls-within": self._stalls_within,
            "resets": self._resets,
            "resets-within": self._resets_within,
            "ends-early": self._ends_early,
            "stalls-within-chunk": self._stalls_within_chunk,
            "ends-within-chunk": self._ends_within_chunk,
            "broken-events": self._broken_events,
            "html": self._html,
            "no-http": self._no_http,
            "no-completion": self._no_completion,
        }

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b""
            self.asked += 1
            path = head.split()[1].decode()
            asked = json.loads(body) if body and path.endswith("/chat/completions") else {}
            behave = self._behaviours[asked.get("model") or path.rpartition("/")[2]]
            await behave(reader, writer, bool(asked.get("stream")))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the proxy went first
        finally:
            self._open.discard(writer)
            writer.close()

    async def _good(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: bool) -> None:
        if stream:
            writer.write(STREAM_HEAD + event("fine") + event("", "stop") + b"data: [DONE]\n\n")
        else:
            writer.write(answer("application/json", json.dumps(WHOLE).encode()))
        await writer.drain()

    async def _stalls(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: bool) -> None:
        await reader.read()  # until the proxy hangs up

    async def _stalls_within(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: bool) -> None:
        await self._begin(writer, stream)
        await reader.read()

    async def _resets(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bool) -> None:
        _reset(writer)

    async def _resets_within(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: bool) -> None:
        await self._begin(writer, stream)
        _reset(writer)

    async def _ends_early(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: bool) -> None:
        """An orderly end of the connection, but not of the reply."""
        await self._begin(writer, stream)

    async def _stalls_within_chunk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: bool) -> None:
        await self._ends_within_chunk(reader, writer, True)
        await reader.read()

    async def _ends_within_chunk(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bool) -> None:
        first = event("fi")
        writer.write(CHUNKED_HEAD + f"{len(first):x}\r\n".encode() + first + b"\r\nff\r\ndata: ")
        await writer.drain()

    async def _broken_events(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bool) -> None:
        writer.write(STREAM_HEAD + event("fi") + b'data: {"choices": [{"delta": {"cont\n\n' + event("", "stop"))
        await writer.drain()

    async def _html(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bool) -> None:
        writer.write(answer("text/html; charset=utf-8", b"<html><body>Please sign in</body></html>"))
        await writer.drain()

    async def _no_http(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bool) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
        await writer.drain()

    async def _no_completion(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bool) -> None:
        writer.write(answer("application/json", b'["not", "an", "object"]'))
        await writer.drain()

    async def _begin(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        whole = json.dumps(WHOLE).encode()
        writer.write(STREAM_HEAD + event("fi") if stream else answer("application/json", whole[:20], length=len(whole)))
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
