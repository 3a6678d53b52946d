"""An upstream on loopback that answers as a test tells it, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name), None)


Script = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """`async with` it to listen. `seen` is what arrived; `gone` is set when a client has hung up on a script."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.seen: list[Asked] = []
        self.gone = asyncio.Event()
        self.origin = ""
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        # over TLS by name: clients leave 127.0.0.1 out of proxying more often than localhost
        self.origin = f"https://localhost:{port}" if self._tls else f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            asked = await read_asked(reader)
            self.seen.append(asked)
            watch = asyncio.ensure_future(reader.read(1))
            watch.add_done_callback(lambda _: self.gone.set())
            await self.script(asked, writer)
            watch.cancel()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


async def read_asked(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = tuple((k, v.strip()) for k, _, v in (line.partition(":") for line in head[1:] if line))
    length = next((int(v) for k, v in headers if k.lower() == "content-length"), 0)
    return Asked(method, target, headers, await reader.readexactly(length))


def whole(body: bytes, kind: str = "application/json", status: str = "200 OK", *more: str) -> bytes:
    extra = "".join(f"{line}\r\n" for line in more)
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
    )
    return head.encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    """One chunk of a chunked body; the last one if `data` is empty."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def answering(reply: bytes) -> Script:
    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()

    return script
