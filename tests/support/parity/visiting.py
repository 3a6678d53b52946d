"""One house for the whole matrix: real doors, a real upstream behind TLS, and a session for each cell."""

from __future__ import annotations

import ssl
from asyncio import StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ironcage.reach import ca_folder
from tests.support.approving import People
from tests.support.gateway import Served, serve
from tests.support.medagent_servers import make_certificate
from tests.support.parity.table import Cell
from tests.support.scripted import Asked, Scripted, piece, whole
from trajectory.record import Attempt

EVENTS = "text/event-stream"
LIMIT_BYTES = 512 * 1024
LIMIT_TOKENS = 150_000
SETTINGS: dict[str, Any] = {
    "constraints": {
        "allowed_tools": ["good", "careful", "asked", "functions.asked"],
        "max_retries": 1,
        "network_egress_limit_mb": LIMIT_BYTES / 1024**2,
        "context_limit_tokens": LIMIT_TOKENS,
        "spend_limit_usd": 0.345,
    },
    "policies": {
        "tools": {"arguments": {"careful": {"path": {"under": ["/workspace"]}}}},
        "approvals": {"tools": {"asked": {}}},
        "spend": {"prices": {"*": {"input": 0.1, "output": 10}}, "assumed_output_tokens": 32_000},
        "redaction": {"types": ["EMAIL", "SECRET"], "refuse": ["SECRET"]},
    },
}
_PATHS = {"model": "", "tool": "/tool", "mcp": "/mcp"}


@dataclass(frozen=True)
class Got:
    """What the client really got. `is_broken`: the connection broke off before the reply had ended."""

    status: int
    headers: Any
    body: bytes
    is_broken: bool = False

    @property
    def refusal(self) -> str | None:
        code: str | None = self.headers.get("x-ironcage-refusal")
        return code


class House:
    def __init__(self, served: Served, upstream: Scripted, session: aiohttp.ClientSession) -> None:
        self.served = served
        self.people = served.doors.hall.approver = People()
        self.upstream = upstream
        self.session = session
        self.trusted = ssl.create_default_context(cafile=str(ca_folder(served.doors.loaded) / "ca.pem"))
        self._visits = 0

    def visit(self, cell: Cell) -> Visit:
        self._visits += 1
        return Visit(self, cell, f"cell-{self._visits}", len(self.upstream.seen))


@dataclass
class Visit:
    """A client in a session of its own. What the upstream answers is told before it is asked."""

    house: House
    cell: Cell
    session: str
    _first_seen: int

    @property
    def seen(self) -> list[Asked]:
        """What the upstream really got."""
        return self.house.upstream.seen[self._first_seen :]

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for attempt in self.house.served.attempts if attempt.session == self.session]

    @property
    def codes(self) -> list[str]:
        """Codes of refusals in the record of the latest attempt."""
        return [note.code for note in self.attempts[-1].verdicts if note.action in ("refuse", "cut")]

    def upstream_says(self, *parts: bytes, kind: str = EVENTS, status: str = "200 OK") -> None:
        """One part: a whole body. Several: a chunked one, each part in a chunk of its own."""

        async def script(_: Asked, writer: StreamWriter) -> None:
            if len(parts) == 1:
                writer.write(whole(parts[0], kind, status))
                return
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(head.encode())
            for part in (*parts, b""):
                writer.write(piece(part))
                await writer.drain()

        self.house.upstream.script = script

    async def post(self, path: str, body: bytes, kind: str = "model", method: str = "POST") -> Got:
        served, options = self.house.served, {}
        url = served.url(kind, self.session)
        if self.cell.door == "HTTPS_PROXY":
            url = self.house.upstream.origin + _PATHS[kind]
            proxy = str(served.doors.proxy_url).replace("http://", f"http://{self.session}:x@")
            options = {"proxy": proxy, "ssl": self.house.trusted}
        headers = {"Content-Type": "application/json", "Accept": f"application/json, {EVENTS}"}
        data = body or None
        async with self.house.session.request(method, url + path, data=data, headers=headers, **options) as reply:
            got = bytearray()
            try:
                async for part in reply.content.iter_any():
                    got += part
            except aiohttp.ClientPayloadError:
                return Got(reply.status, reply.headers, bytes(got), is_broken=True)
            return Got(reply.status, reply.headers, bytes(got))


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    tls, certificate = make_certificate(folder)

    async def silent(_: Asked, writer: StreamWriter) -> None:
        """Nobody told it what to say."""

    async with Scripted(silent, tls=tls) as upstream:
        kinds = {name: {"base_url": upstream.origin + path, "kind": name} for name, path in _PATHS.items()}
        places = {name: {**place, "ca_file": str(certificate)} for name, place in kinds.items()}
        doors = {"forward_listen": "127.0.0.1:0", "state_dir": str(folder / "state")}
        async with serve(folder, upstreams=places, **doors, **SETTINGS) as served, aiohttp.ClientSession() as session:
            yield House(served, upstream, session)
