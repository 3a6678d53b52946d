"""Shadow traffic over the admin port: asked after, started and stopped."""

from __future__ import annotations

from aiohttp import web
from pydantic import ValidationError

from ironcage.console.api import answering
from ironcage.console.rendering import problem
from ironcage.shadowing import ShadowDesk, ShadowStatus
from replay.shadow import ShadowSettings
from trajectory.errors import OperatorError


class Shadows:
    """`desk` None: this process has no gateway whose traffic could be mirrored."""

    def __init__(self, desk: ShadowDesk | None) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        if self._desk is None:
            return []
        return [
            web.get("/api/shadow", answering(self._status)),
            web.post("/api/shadow", answering(self._start)),
            web.delete("/api/shadow", answering(self._stop)),
        ]

    async def _status(self, _: web.Request) -> web.Response:
        assert self._desk is not None
        return _said(await self._desk.status())

    async def _start(self, request: web.Request) -> web.Response:
        """The body is a `shadow` section. Only JSON: a page elsewhere cannot make a browser send that unasked."""
        assert self._desk is not None
        if request.content_type != "application/json":
            return problem(request, 415, "Send the settings as application/json.")
        try:
            settings = ShadowSettings.model_validate_json(await request.read())
        except ValidationError as e:
            first = e.errors()[0]
            return problem(request, 400, f"{'.'.join(map(str, first['loc'])) or 'The body'}: {first['msg']}.")
        try:
            return _said(await self._desk.start(settings))
        except OperatorError as e:
            return problem(request, 409, f"{e}.", e.hint)

    async def _stop(self, _: web.Request) -> web.Response:
        assert self._desk is not None
        return _said(await self._desk.stop())


def _said(status: ShadowStatus) -> web.Response:
    return web.Response(text=status.model_dump_json(), content_type="application/json")
