"""A console on loopback over a real SQLite store, and a client that asks it as a browser would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from ironcage.console.server import Console
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints
from proxy.approval_desk import Desk
from trajectory.store import Store

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Browser:
    """Follows nothing by itself; keeps no cookies but those that it is given."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return await self._ask("GET", path, headers=headers)

    async def post(self, path: str, **fields: str) -> Answer:
        return await self._ask("POST", path, data=fields)

    async def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        return await self._ask(method, path, headers=headers, data=body)

    async def json(self, path: str) -> Any:
        async with self._session.get(URL(self.url + path, encoded=True)) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def _ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **rest: Any) -> Answer:
        sent = BROWSER | (headers or {})
        url = URL(self.url + path, encoded=True)
        async with self._session.request(method, url, headers=sent, allow_redirects=False, **rest) as reply:
            return Answer(reply.status, reply.headers, await reply.read())


@asynccontextmanager
async def open_console(
    store: Store,
    *,
    token: str | None = None,
    host: str = "127.0.0.1",
    desk: Desk | None = None,
    folder: Path = Path(),
) -> AsyncIterator[Browser]:
    loaded = Loaded(settings=Settings(access_token=token), constraints=Constraints(), folder=folder)
    async with Console(store, host, 0, loaded, desk=desk) as console:
        url = console.url.replace("0.0.0.0", "127.0.0.1")
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield Browser(session, url)
