"""Waiting for people: the decisions on the calls of an exchange, while its client is kept in patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from proxy.approvals import ApprovalAsked, Approver, Decision

PATIENCE_S = 10.0
"""How long a client is left without a sign of life: idle connections are cut after a minute or so by many things."""


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


@dataclass(slots=True, eq=False)
class Asking:
    """Of one gateway. Two calls that are the same are asked about one after the other: no decision is for both."""

    patience_s: float = PATIENCE_S
    _tasks: set[asyncio.Task[Decision]] = field(default_factory=set)
    _turns: dict[tuple[str, str], _Turn] = field(default_factory=dict)
    _is_closed: bool = False

    async def decisions(
        self, approver: Approver, asked: tuple[ApprovalAsked, ...], still_waiting: Callable[[], Awaitable[None]]
    ) -> dict[str, Decision]:
        """By the ids of the questions; without those that were withdrawn since the gateway closes.

        Cancelled, or failing with whatever the approver or `still_waiting` raises, it withdraws them all.
        """
        if self._is_closed:
            return {}
        tasks = [asyncio.create_task(self._decided(approver, one)) for one in asked]
        self._tasks.update(tasks)
        try:
            while not all(task.done() for task in tasks):
                done, _ = await asyncio.wait(tasks, timeout=self.patience_s, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    if not task.cancelled():
                        task.result()
                if len(done) < len(tasks):
                    await still_waiting()
        finally:
            self._tasks.difference_update(tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return {one.id: task.result() for one, task in zip(asked, tasks, strict=True) if not task.cancelled()}

    def close(self) -> None:
        """Withdraw all questions: nobody is waited for any more."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()

    async def _decided(self, approver: Approver, asked: ApprovalAsked) -> Decision:
        async with self._turn(asked.trajectory, asked.identity):
            return await approver.decide(asked)

    @asynccontextmanager
    async def _turn(self, *key: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault((key[0], key[1]), _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key[0], key[1]]
