"""The JSON API: what the store holds, read only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import get_args
from urllib.parse import quote

from aiohttp import web

from ironcage.console.listing import Wanted, find_page
from ironcage.console.metrics import CONTENT_TYPE, Metrics, desk_text, turned_away_text
from ironcage.console.rendering import data, problem
from ironcage.scorecards import scored
from proxy.approval_desk import Desk
from scoring.report.files import render_json
from trajectory.errors import ClientError, StoreError
from trajectory.store import Side, Store

SIDES: tuple[Side, ...] = get_args(Side)


class Api:
    def __init__(self, store: Store, desk: Desk | None = None, turned_away: Mapping[str, int] | None = None) -> None:
        self._store = store
        self._metrics = Metrics(store)
        self._desk = desk
        self._turned_away = {} if turned_away is None else turned_away

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/trajectories", answering(self._trajectories)),
            web.get("/api/trajectories/{trajectory:.+}", answering(self._trajectory)),
            web.get("/api/attempts/{attempt:.+}/{side}", answering(self._body)),
            web.get("/api/bakeoffs", answering(self._bakeoffs)),
            web.get("/api/bakeoffs/{bakeoff:.+}", answering(self._scorecard)),
            web.get("/metrics", answering(self._scraped)),
        ]

    async def _trajectories(self, request: web.Request) -> web.Response:
        wanted = Wanted.of(dict(request.query))
        listed = await asyncio.to_thread(find_page, self._store, wanted)
        following = wanted.page + 1 if listed.has_more else None
        found = {"trajectories": listed.trajectories, "page": wanted.page, "next_page": following}
        return data(found if listed.searched is None else {**found, "searched": listed.searched})

    async def _trajectory(self, request: web.Request) -> web.Response:
        return data(await asyncio.to_thread(self._store.trajectory, request.match_info["trajectory"]))

    async def _body(self, request: web.Request) -> web.Response:
        attempt, side = request.match_info["attempt"], request.match_info["side"]
        body = await asyncio.to_thread(self._store.body, attempt, side_of(side))
        if body is None:
            return problem(request, 404, f"No {side} is recorded of attempt {attempt}.")
        name = quote(f"{attempt}-{side}.bin", safe="")
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    async def _bakeoffs(self, _: web.Request) -> web.Response:
        return data({"bakeoffs": await asyncio.to_thread(self._store.bakeoffs)})

    async def _scorecard(self, request: web.Request) -> web.Response:
        wanted = request.match_info["bakeoff"]

        def made() -> str | None:
            found = next((one for one in self._store.bakeoffs() if one.id == wanted), None)
            return None if found is None else render_json(scored(self._store, found))

        text = await asyncio.to_thread(made)
        if text is None:
            return problem(request, 404, f"There is no bake-off {wanted!r}.")
        return web.Response(text=text, content_type="application/json")

    async def _scraped(self, _: web.Request) -> web.Response:
        text = await asyncio.to_thread(self._metrics.text)
        if self._desk is not None:
            text += desk_text(self._desk)
        if self._turned_away:
            text += turned_away_text(self._turned_away)
        return web.Response(body=text.encode("utf-8", "replace"), headers={"Content-Type": CONTENT_TYPE})


def side_of(text: str) -> Side:
    """Raises ClientError if there is no such side."""
    for side in SIDES:
        if side == text:
            return side
    raise ClientError(f"there is no side {text[:40]!r} of an exchange", hint=f"it is one of {', '.join(SIDES)}")


def answering(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """`handler`, where what cannot be done is said as 400, 404 or 503."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ClientError as e:
            return problem(request, 400, _sentence(e), e.hint)
        except StoreError as e:
            # the store's own words for an id that it does not know; all else means that it cannot be read
            is_missing = str(e).startswith("there is no ")
            return problem(request, 404 if is_missing else 503, _sentence(e), e.hint)

    return answer


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
