"""People who decide on calls, in this process: by what they were told, or when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.approvals import ApprovalAsked, Decision

ALLOWED = Decision("allowed", "ada", "as agreed")
DENIED = Decision("denied", "bob", "not on a Friday")
TIMED_OUT = Decision("timed_out")


class People:
    """An Approver. `answers` decides at once; without it each question waits for `settle`."""

    def __init__(self, answers: Callable[[ApprovalAsked], Decision] | None = None) -> None:
        self.answers = answers
        self.asked: list[ApprovalAsked] = []
        self.withdrawn: list[ApprovalAsked] = []
        self._came: asyncio.Queue[ApprovalAsked] = asyncio.Queue()
        self._waiting: dict[str, asyncio.Future[Decision]] = {}

    async def decide(self, asked: ApprovalAsked) -> Decision:
        self.asked.append(asked)
        if self.answers is not None:
            return self.answers(asked)
        waiting = self._waiting[asked.id] = asyncio.get_running_loop().create_future()
        self._came.put_nowait(asked)
        try:
            return await waiting
        except asyncio.CancelledError:
            self.withdrawn.append(asked)
            raise
        finally:
            del self._waiting[asked.id]

    async def question(self) -> ApprovalAsked:
        """The next question that nobody has looked at. TimeoutError where none comes."""
        async with asyncio.timeout(10):
            return await self._came.get()

    def settle(self, asked: ApprovalAsked, decision: Decision) -> None:
        self._waiting[asked.id].set_result(decision)
