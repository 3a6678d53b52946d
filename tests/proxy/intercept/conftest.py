"""A stand-in for the gateway that notes what arrives, an origin that must never be reached, and a door between."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from proxy.intercept.door import InterceptDoor

SECRET = "hop-secret"


@dataclass
class StandInGateway:
    """Answers by path: /stream in two parts, /cut one part of two (both wait for `go_on`), /endless till cancelled."""

    port: int = 0
    seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)
    first_part: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/upload"):
            return await self._upload(request)
        body = await request.read()
        self.seen.append((request.method, request.raw_path, list(request.headers.items()), body))
        if request.path.startswith("/stream"):
            return await self._stream(request)
        if request.path.startswith("/cut"):
            return await self._cut(request)
        if request.path.startswith("/endless"):
            return await self._endless(request)
        if request.path == "/v1/chat/completions":
            return web.json_response(COMPLETION)
        return web.Response(body=body or b"hello", headers={"X-Kept-As-Is": "yes"})

    async def _upload(self, request: web.Request) -> web.Response:
        first = await request.content.readany()
        self.first_part.set()
        body = first + await request.content.read()
        self.seen.append((request.method, request.raw_path, list(request.headers.items()), body))
        return web.Response(body=b"%d" % len(body))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await self.go_on.wait()
        await response.write(b"data: two\n\n")
        return response

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await self.go_on.wait()
        assert request.transport is not None
        request.transport.abort()
        return response

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return response

    def headers(self, index: int = -1) -> dict[str, str]:
        """Of one request, names in lower case; fails if a name came twice."""
        pairs = [(name.lower(), value) for name, value in self.seen[index][2]]
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)


COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi there"}}],
}


@dataclass
class Origin:
    """Where the client means to go. Counts connections: the door must open none."""

    port: int = 0
    connections: int = 0


@dataclass
class RunningDoor:
    port: int
    ca: Path
    bundle: Path

    @property
    def url(self) -> str:
        return self.url_for("RUN-42:x")

    def url_for(self, credentials: str) -> str:
        return f"http://{credentials}@127.0.0.1:{self.port}"

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("door") / "ca"


@pytest.fixture
async def gateway() -> AsyncIterator[StandInGateway]:
    standin = StandInGateway()
    application = web.Application(client_max_size=2**28)
    application.router.add_route("*", "/{path:.*}", standin.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    standin.port = runner.addresses[0][1]
    yield standin
    standin.go_on.set()
    await runner.cleanup()


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    counted = Origin()

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted.connections += 1
        writer.close()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    counted.port = server.sockets[0].getsockname()[1]
    yield counted
    server.close()
    assert counted.connections == 0, "the door connected to the original server"


@pytest.fixture
async def door(gateway: StandInGateway, confdir: Path) -> AsyncIterator[RunningDoor]:
    opened = InterceptDoor()
    port = await opened.start(
        "127.0.0.1", 0, gateway_host="127.0.0.1", gateway_port=gateway.port, hop_secret=SECRET, confdir=confdir
    )
    yield RunningDoor(port, confdir / "ca.pem", confdir / "ca-bundle.pem")
    await opened.stop()
