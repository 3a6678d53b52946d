"""An upstream on loopback that answers as a test tells it, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.support.listening import Listening


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k.lower() == name), None)


Script = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class Scripted(Listening):
    """`seen` is what arrived; `gone` is set when a client has hung up on a script."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.script = script
        self.seen: list[Asked] = []
        self.gone = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await read_asked(reader)
        self.seen.append(asked)
        watch = asyncio.ensure_future(reader.read(1))
        watch.add_done_callback(lambda _: self.gone.set())
        await self.script(asked, writer)
        watch.cancel()


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
