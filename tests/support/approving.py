"""People who decide on calls, in this process: by what they were told, or when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from policies.approvals.rule import Approvals
from policies.approvals.settings import ApprovalSettings
from proxy.approvals import ApprovalAsked, Decision
from proxy.arrivals import Decided
from proxy.effects import AskApproval
from proxy.hall import Hall
from proxy.redactor import Redactor
from tests.support.driving import Driven, hall, rules

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

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def question(self) -> ApprovalAsked:
        """The next question that nobody has looked at. TimeoutError where none comes."""
        async with asyncio.timeout(10):
            return await self._came.get()

    def settle(self, asked: ApprovalAsked, decision: Decision) -> None:
        self._waiting[asked.id].set_result(decision)


def rule(**settings: Any) -> Approvals:
    """Each call of `pay` waits."""
    return Approvals(ApprovalSettings.model_validate({"tools": {"pay": {}}, **settings}))


def house(*, redactor: Redactor | None = None, allowed: list[str] | None = None, **settings: Any) -> Hall:
    return hall(*rules(allowed=allowed, max_retries=1), rule(**settings), redactor=redactor)


def questions(exchange: Driven) -> list[ApprovalAsked]:
    """All that were asked so far."""
    return [one for effect in exchange.effects if isinstance(effect, AskApproval) for one in effect.asked]


def decide(exchange: Driven, *decisions: Decision, at_s: float = 0.5) -> bytes:
    """On the latest questions, in their order; what the client has then."""
    asked = [effect for effect in exchange.effects if isinstance(effect, AskApproval)][-1].asked
    exchange.give(Decided({one.id: said for one, said in zip(asked, decisions, strict=False)}, at_s))
    return exchange.delivered
