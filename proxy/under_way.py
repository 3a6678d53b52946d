"""Which exchanges are under way: so that a session can be waited for, and a proxy that stops can let them end."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class UnderWay:
    """Counts exchanges by session. Belongs to one event loop."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._total = 0

    @property
    def total(self) -> int:
        return self._total

    def begins(self, session: str) -> None:
        self._counts[session] = self._counts.get(session, 0) + 1
        self._total += 1
        self._idle.clear()

    def ends(self, session: str) -> None:
        self._total -= 1
        if not self._total:
            self._idle.set()
        left = self._counts[session] - 1
        if left:
            self._counts[session] = left
            return
        del self._counts[session]
        for waiter in self._waiting.pop(session, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def quiet(self, session: str) -> None:
        """Return once nothing of `session` is under way."""
        while self._counts.get(session):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(session, []).append(waiter)
            await waiter

    async def idle(self, at_most_s: float) -> None:
        """Return once nothing at all is under way, or after `at_most_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._idle.wait()
