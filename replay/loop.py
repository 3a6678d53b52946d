"""The engine's own agent loop, for captured tasks without an agent command: a model and a world of results.

It sends the recorded first request again, appends what the model says and what the world answers, and goes on until
the model proposes no further call. All model calls go through the gateway like any agent's, under the same policies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from replay.turns.contract import Answered, Turn, Turns
from replay.world.contract import World
from trajectory.errors import FormatError
from trajectory.runs import Served

Ask = Callable[[bytes], Awaitable[tuple[int, bytes]]]
"""Sends one request body; status and whole reply."""
Pause = Callable[[float], Awaitable[None]]
Ended = Literal["answered", "empty", "max_steps", "refused", "upstream_error", "unreadable", "stopped"]

MAX_STEPS = 50
_RETRIES = 2
_FIRST_PAUSE_S = 0.5
# Like the official clients: the proxy does not retry, and tells apart what its policies refuse (400, 403).
_RETRIED = frozenset({408, 409, 429})


class ClosedLoop:
    """One run of one task. Its fields tell how far it came, also after `run` was cancelled from outside."""

    def __init__(
        self,
        ask: Ask,
        request: str,
        world: World,
        turns: Turns,
        *,
        max_steps: int = MAX_STEPS,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """`request` is the JSON of the first model request, in the format of `turns`; it is asked for unstreamed."""
        fields = msgspec.json.decode(request.encode(), type=dict[str, msgspec.Raw])
        self._ask, self._world, self._max_steps, self._pause = ask, world, max_steps, pause
        self._turns, self._conversation, self._fields = turns, turns.opened(fields), fields
        self.steps = 0
        self.answer: str | None = None
        self.served: list[Served] = []
        self.ended: Ended = "stopped"
        self.evidence = ""

    async def run(self) -> None:
        while self.steps < self._max_steps:
            status, body = await self._ask_with_retries()
            self.steps += 1
            if status >= 400:
                self.ended = "upstream_error" if status >= 500 or status in _RETRIED else "refused"
                self.evidence = f"HTTP {status}: {body[:500].decode('utf-8', 'replace')}"
                return
            turn = self._take(body)
            if turn is None:
                return
            if turn.calls:
                await self._answer_calls(turn)
            elif not turn.pauses:
                self.answer = turn.text
                self.ended = "answered" if self.answer.strip() else "empty"
                return
        self.ended, self.evidence = "max_steps", f"the model still called tools after {self._max_steps} steps"

    async def _ask_with_retries(self) -> tuple[int, bytes]:
        body = msgspec.json.encode({**self._fields, self._turns.list_key: self._conversation})
        pause_s = _FIRST_PAUSE_S
        for _ in range(_RETRIES):
            status, reply = await self._ask(body)
            if status < 500 and status not in _RETRIED:
                return status, reply
            await self._pause(pause_s)
            pause_s *= 2
        return await self._ask(body)

    def _take(self, body: bytes) -> Turn | None:
        """Append the model's turn to the conversation; None, and the end, if there is none."""
        try:
            turn = self._turns.turn(body)
        except (msgspec.DecodeError, FormatError) as error:
            self.ended, self.evidence = "unreadable", f"the reply is no turn of a model: {error}"
            return None
        self._conversation += turn.pieces
        return turn

    async def _answer_calls(self, turn: Turn) -> None:
        answered: list[Answered] = []
        kinds = turn.kinds or ("",) * len(turn.calls)
        for call, kind in zip(turn.calls, kinds, strict=True):
            answer = await self._world.answer(call.name, call.arguments)
            self.served.append(answer.served)
            answered.append(Answered(call, answer.text, answer.is_error, kind))
        self._conversation += self._turns.results(answered)
