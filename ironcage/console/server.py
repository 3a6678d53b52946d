"""The admin listener (aiohttp)."""

from __future__ import annotations

import asyncio
import hmac
from types import TracebackType

from aiohttp import web
from aiohttp.typedefs import Handler

from ironcage.settings import Loaded
from proxy.gateway import bound_port, is_loopback
from trajectory.errors import OperatorError, StoreError
from trajectory.store import Store


class Console:
    """`async with` it to listen; `url` is then where."""

    def __init__(self, store: Store, host: str, port: int, loaded: Loaded) -> None:
        self._store = store
        self._host = host
        self._port = port
        self._token = loaded.settings.access_token
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Console:
        if self._token is None and not is_loopback(self._host):
            raise OperatorError(
                f"admin_listen: the console on {self._host} would show recordings to anyone on the network",
                hint="set access_token in the configuration, or listen on 127.0.0.1",
            )
        app = web.Application(middlewares=[self._guard])
        app.add_routes([web.get("/healthz", self._health), web.get("/readyz", self._ready)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as e:
            await self._runner.cleanup()
            raise OperatorError(
                f"cannot listen on {self._host}:{self._port} (admin_listen): {e.strerror or e}",
                hint="another program has it: choose another port",
            ) from None
        self.url = f"http://{self._host}:{bound_port(self._runner)}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None and request.path not in ("/healthz", "/readyz"):
            given = request.headers.get("x-ironcage-token", "")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return web.json_response({"error": "x-ironcage-token is missing or wrong"}, status=401)
        return await handler(request)

    async def _health(self, _: web.Request) -> web.Response:
        """The process lives."""
        return web.json_response({"status": "ok"})

    async def _ready(self, _: web.Request) -> web.Response:
        """The store answers, so exchanges can be recorded."""
        try:
            await asyncio.to_thread(self._store.find, limit=1)
        except StoreError as e:
            return web.json_response({"status": "store unavailable", "why": str(e)}, status=503)
        return web.json_response({"status": "ready"})
