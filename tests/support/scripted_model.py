"""A model's HTTP server on loopback that answers as a function of what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Answer:
    """`body` goes out in `parts` pieces, which need not end where an event does."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    parts: int = 1


@dataclass
class ScriptedModel:
    """`asked` are the bodies that arrived, in order, and `paths` where."""

    answer: Callable[[dict[str, Any]], Answer]
    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(body)
        self.paths.append(f"{request.method} {request.raw_path}")
        given = self.answer(json.loads(body) if body else {})
        reply = web.StreamResponse(
            status=given.status, headers={"Content-Type": given.content_type, **dict(given.headers)}
        )
        await reply.prepare(request)
        size = max(1, -(-len(given.body) // given.parts))
        with contextlib.suppress(ConnectionError):  # who asked may leave in the midst of it
            for at in range(0, len(given.body), size):
                await reply.write(given.body[at : at + size])
                await asyncio.sleep(0)
            await reply.write_eof()
        return reply


@asynccontextmanager
async def scripted(answer: Callable[[dict[str, Any]], Answer]) -> AsyncIterator[ScriptedModel]:
    model = ScriptedModel(answer)
    application = web.Application(client_max_size=2**28)
    application.router.add_route("*", "/{path:.*}", model._handle)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield model
    finally:
        await runner.cleanup()
