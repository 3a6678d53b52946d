"""The admin listener (aiohttp)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType

from aiohttp import web

from ironcage.approvals_token import approvals_token
from ironcage.console.api import Api
from ironcage.console.approvals import Approvals
from ironcage.console.guard import Guard
from ironcage.console.pages import Pages
from ironcage.console.shadows import Shadows
from ironcage.settings import Loaded
from ironcage.shadowing import ShadowDesk
from proxy.approval_desk import Desk
from proxy.gateway_listening import bound_port, is_loopback
from trajectory.errors import OperatorError, StoreError
from trajectory.store import Store

_MAX_FORM_BYTES = 16 * 1024


class Console:
    """`async with` it to listen; `url` is then where."""

    def __init__(
        self,
        store: Store,
        host: str,
        port: int,
        loaded: Loaded,
        *,
        shadows: ShadowDesk | None = None,
        desk: Desk | None = None,
        turned_away: Mapping[str, int] | None = None,
    ) -> None:
        self._store = store
        self._shadows = shadows
        self._desk = desk
        self._turned_away = turned_away
        self._approvals = Approvals(desk, approvals_token(loaded) if desk is not None else "")
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
        self._runner = web.AppRunner(self._application(), access_log=None)
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
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{bound_port(self._runner)}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        guard = Guard(self._token, on_loopback=is_loopback(self._host))
        app = web.Application(middlewares=[guard.middleware], client_max_size=_MAX_FORM_BYTES)
        app.on_shutdown.append(self._approvals.close)
        app.add_routes([
            web.get("/healthz", self._health),
            web.get("/readyz", self._ready),
            web.post("/login", guard.login),
            *Shadows(self._shadows).routes(),
            *self._approvals.routes(),
            *Api(self._store, self._desk, self._turned_away).routes(),
            *Pages(self._store).routes(),
        ])  # fmt: skip
        return app

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
