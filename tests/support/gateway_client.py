"""What the tests in tests/proxy/test_gateway.py and test_gateway_edges.py share."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.driving import DONE, event
from tests.support.gateway import Served
from tests.support.scripted import Scripted
from trajectory.record import Attempt

STREAM = event({"role": "assistant", "content": "hel"}) + event({"content": "lo"}) + event({}, "stop") + DONE
CHAT = "/v1/chat/completions"


def upstreams(model: Scripted, **more: Any) -> dict[str, Any]:
    return {"upstreams": {"m": {"base_url": model.origin, **more}, "t": {"base_url": model.origin, "kind": "tool"}}}


class Client:
    """One raw connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, served: Served) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", served.doors.port))

    async def send(self, path: str, body: bytes = b"", method: str = "POST", **headers: str) -> None:
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        lines = "".join(f"{k}: {v}\r\n" for k, v in {"Host": "x", "Content-Length": str(len(body)), **names}.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v for k, _, v in (x.partition(": ") for x in lines[1:] if x)}

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while part := await self.chunk():
                parts.append(part)
            return b"".join(parts)
        return await self.reader.readexactly(int(headers.get("content-length", "0")))

    def leave(self) -> None:
        self.writer.transport.abort()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()


async def exchanged(
    served: Served, path: str, body: bytes = b"", method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    async with await Client.of(served) as client:
        await client.send(path, body, method, **headers)
        status, answered = await client.head()
        return status, answered, await client.rest(answered)


async def recorded(served: Served) -> Attempt:
    """The one attempt, once nothing is under way."""
    await served.doors.gateway.quiet("s1")
    (attempt,) = served.attempts
    return attempt
