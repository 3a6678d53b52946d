"""The desk: calls that wait for a person, and the decisions on them.

1. A question is decided once. Who comes second is told what was decided, by whom and when.
2. The same call (trajectory and identity) asked twice at the same time is one question.
3. Agents give up and ask again. A question whose agent has gone stays open for `keep_s`; decided then, the decision is
   held for `keep_s` and answers the same call once.
4. The desk is bounded, as a whole and for one session, so that no agent can bury the calls of others, or its own one
   that matters: above that a call is denied.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct, structs

from proxy.approvals import ApprovalAsked, Decision, Outcome
from trajectory.clock import SYSTEM_CLOCK, Clock

State = Literal["waiting", "left", "timed_out", "held"]
"""waiting: the agent is there; left: it went away first; timed_out: it was told that nobody answered; held: decided
after that, for the case that it asks again."""
Key = tuple[str, str]

DESK = "the desk"
"""Who "decides" where nobody did: in time, or for want of room."""
_MOST_REMEMBERED = 1000


class Question(Struct, frozen=True):
    """A call as it lies on the desk. `asked` is as it was asked first: the id stays while the agent comes and goes.

    `callers` wait for the decision now. `time_left_s` is until the last of them is told that nobody answered or, where
    none waits, until the question or the held decision is forgotten.
    """

    asked: ApprovalAsked
    state: State
    callers: int
    time_left_s: float
    decision: Decision | None = None


class Settled(Struct, frozen=True):
    """A decision that was made. `at_s` is seconds since 1970; `is_held` where nobody waited for it."""

    asked: ApprovalAsked
    decision: Decision
    at_s: float
    is_held: bool


@dataclass(slots=True, eq=False)
class _Open:
    """`callers` with the moments of the loop's clock until which they wait."""

    asked: ApprovalAsked
    callers: dict[asyncio.Future[Decision], float] = field(default_factory=dict)
    gone: Literal["left", "timed_out"] = "left"
    gone_at_s: float = 0.0


class Desk:
    """An Approver (proxy/approvals.py) behind which people sit. For one event loop."""

    def __init__(
        self,
        clock: Clock = SYSTEM_CLOCK,
        *,
        capacity: int = 100,
        capacity_of_session: int = 20,
        keep_s: float = 15 * 60.0,
    ) -> None:
        """`capacity` bounds the questions that wait, and in the same number those whose agent has gone."""
        self._clock = clock
        self._capacity, self._capacity_of_session, self.keep_s = capacity, capacity_of_session, keep_s
        self._open: OrderedDict[Key, _Open] = OrderedDict()
        self._held: OrderedDict[Key, tuple[Settled, float]] = OrderedDict()
        """With the moment of the monotonic clock at which it was decided."""
        self._settled: OrderedDict[str, Settled] = OrderedDict()
        self._changed = asyncio.Event()
        self.version = int(clock.now_s() * 1000)
        """Another one with every change, and other ones after a restart."""
        self._is_closed = False
        self.counts: Counter[Outcome] = Counter()
        """Questions by what became of them, since the start; denied ones also by a full desk."""

    async def decide(self, asked: ApprovalAsked) -> Decision:
        self._forget_old()
        key = (asked.trajectory, asked.identity)
        if (held := self._held.pop(key, None)) is not None:
            self._tell()
            return held[0].decision
        question = self._open.get(key)
        if (question is None or not question.callers) and (full := self._full(asked)):
            self.counts["denied"] += 1
            return Decision("denied", DESK, full)
        if question is None:
            question = self._open[key] = _Open(asked)
        return await self._answer(question, asked.timeout_s)

    def questions(self) -> list[Question]:
        """Those that wait first, then those whose agent has gone; each in the order in which they were asked."""
        self._forget_old()
        now_s = self._clock.monotonic_s()
        waiting = [_waiting(one) for one in self._open.values() if one.callers]
        gone = [
            Question(one.asked, one.gone, 0, self.keep_s - (now_s - one.gone_at_s))
            for one in self._open.values()
            if not one.callers
        ]
        held = [
            Question(one.asked, "held", 0, self.keep_s - (now_s - at_s), one.decision)
            for one, at_s in self._held.values()
        ]
        return [*waiting, *gone, *held]

    def settle(self, question: str, decision: Decision) -> tuple[Settled, bool] | None:
        """The decision on that question, and whether it is this one: an earlier one stands. None if there is no such
        question, or no longer.
        """
        self._forget_old()
        if (earlier := self._settled.get(question)) is not None:
            return earlier, False
        key = next((key for key, one in self._open.items() if one.asked.id == question), None)
        if key is None:
            return None
        found = self._open.pop(key)
        settled = Settled(found.asked, decision, self._clock.now_s(), is_held=not found.callers)
        self._settled[question] = settled
        while len(self._settled) > _MOST_REMEMBERED:
            self._settled.popitem(last=False)
        self.counts[decision.outcome] += 1
        if settled.is_held:
            self._hold(settled)
        for caller in found.callers:
            caller.set_result(decision)
        self._tell()
        return settled, True

    def settled(self, question: str) -> Settled | None:
        return self._settled.get(question)

    async def changed(self, since: int) -> None:
        """Return once `version` is another one than `since`, or the desk is closed."""
        while self.version == since and not self._is_closed:
            await self._changed.wait()

    def close(self) -> None:
        """Nobody sits there any more: who waits for a change is told. Questions are withdrawn by who asked them."""
        self._is_closed = True
        self._tell()

    # --- one caller

    async def _answer(self, question: _Open, timeout_s: float) -> Decision:
        loop = asyncio.get_running_loop()
        caller: asyncio.Future[Decision] = loop.create_future()
        question.callers[caller] = loop.time() + timeout_s
        self._tell()
        try:
            await asyncio.wait((caller,), timeout=timeout_s)
        except asyncio.CancelledError:
            self._gone(question, caller, "left")
            raise
        if caller.done():  # it stays among the callers: what one has heard is not held for another
            return caller.result()
        self._gone(question, caller, "timed_out")
        return Decision("timed_out", DESK, f"nobody decided within {timeout_s:g} s")

    def _gone(self, question: _Open, caller: asyncio.Future[Decision], how: Literal["left", "timed_out"]) -> None:
        if question.callers.pop(caller, None) is None or question.callers:
            return
        settled = self._settled.get(question.asked.id)
        if settled is not None:  # decided at the very moment in which the last of them left: nobody has heard of it
            self._settled[question.asked.id] = held = structs.replace(settled, is_held=True)
            self._hold(held)
        else:
            question.gone, question.gone_at_s = how, self._clock.monotonic_s()
            if how == "timed_out":
                self.counts["timed_out"] += 1
            self._forget_old()
        self._tell()

    # --- bounds

    def _full(self, asked: ApprovalAsked) -> str:
        """Why no more may wait; empty where it may."""
        waiting = [one.asked.session for one in self._open.values() if one.callers]
        if len(waiting) >= self._capacity:
            return f"the desk is full: {len(waiting)} calls wait already, and no more may"
        of_session = waiting.count(asked.session)
        if of_session >= self._capacity_of_session:
            return f"the desk is full for this session: {of_session} of its calls wait already, and no more may"
        return ""

    def _hold(self, settled: Settled) -> None:
        self._held[settled.asked.trajectory, settled.asked.identity] = settled, self._clock.monotonic_s()
        while len(self._held) > self._capacity:
            self._held.popitem(last=False)

    def _forget_old(self) -> None:
        oldest_s = self._clock.monotonic_s() - self.keep_s
        gone = sorted((one.gone_at_s, key) for key, one in self._open.items() if not one.callers)
        surplus = len(gone) - self._capacity
        forgotten = [key for at, (gone_at_s, key) in enumerate(gone) if gone_at_s < oldest_s or at < surplus]
        for key in forgotten:
            del self._open[key]
        for key in [key for key, (_, at_s) in self._held.items() if at_s < oldest_s]:
            del self._held[key]
            forgotten.append(key)
        if forgotten:
            self._tell()

    def _tell(self) -> None:
        self.version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _waiting(question: _Open) -> Question:
    left_s = max(question.callers.values()) - asyncio.get_running_loop().time()
    return Question(question.asked, "waiting", len(question.callers), max(0.0, left_s))
