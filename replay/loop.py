"""The engine's own agent loop, for captured tasks without an agent command: chat completions and a world of results.

It sends the recorded first request again, appends what the model says and what the world answers, and goes on until
the model proposes no further call. All model calls go through the gateway like any agent's, under the same policies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from proxy.wire.openai_chat_types import Turn
from replay.world.contract import World
from trajectory.conversation import ToolCall
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
# Of an assistant message, what no server takes back as input.
_REPLY_ONLY = frozenset({"annotations", "audio"})


class _Choice(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw(b"{}")


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []


class ClosedLoop:
    """One run of one task. Its fields tell how far it came, also after `run` was cancelled from outside."""

    def __init__(
        self, ask: Ask, request: str, world: World, *, max_steps: int = MAX_STEPS, pause: Pause = asyncio.sleep
    ) -> None:
        """`request` is the JSON of the first model request; it is asked for unstreamed."""
        fields = msgspec.json.decode(request.encode(), type=dict[str, msgspec.Raw])
        messages = msgspec.json.decode(fields.pop("messages", msgspec.Raw(b"[]")), type=list[msgspec.Raw])
        for key in ("stream", "stream_options"):
            fields.pop(key, None)
        self._ask, self._world, self._max_steps, self._pause = ask, world, max_steps, pause
        self._fields, self._messages = fields, messages
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
            calls = turn.all_calls()
            if not calls:
                self.answer = turn.text()
                self.ended = "answered" if self.answer.strip() else "empty"
                return
            await self._answer_calls(turn, calls)
        self.ended, self.evidence = "max_steps", f"the model still called tools after {self._max_steps} steps"

    async def _ask_with_retries(self) -> tuple[int, bytes]:
        fields = {**self._fields, "messages": self._messages}
        body = msgspec.json.encode(fields)
        pause_s = _FIRST_PAUSE_S
        for _ in range(_RETRIES):
            status, reply = await self._ask(body)
            if status < 500 and status not in _RETRIED:
                return status, reply
            await self._pause(pause_s)
            pause_s *= 2
        return await self._ask(body)

    def _take(self, body: bytes) -> Turn | None:
        """Append the assistant's message to the conversation; None, and the end, if there is none."""
        try:
            choices = msgspec.json.decode(body, type=_Completion).choices
            raw = choices[0].message if choices else msgspec.Raw(b"{}")
            turn = msgspec.json.decode(raw, type=Turn)
            fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as error:
            self.ended, self.evidence = "unreadable", f"the reply is no chat completion: {error}"
            return None
        kept = {key: value for key, value in fields.items() if key not in _REPLY_ONLY and bytes(value) != b"null"}
        kept.setdefault("role", msgspec.Raw(b'"assistant"'))
        self._messages.append(msgspec.Raw(msgspec.json.encode(kept)))
        return turn

    async def _answer_calls(self, turn: Turn, calls: list[ToolCall]) -> None:
        legacy = turn.function_call is not None and not turn.tool_calls
        for call in calls:
            text = await self._result(call)
            message: dict[str, Any] = {"role": "tool", "tool_call_id": call.id, "content": text}
            if legacy:
                message = {"role": "function", "name": call.name, "content": text}
            self._messages.append(msgspec.Raw(msgspec.json.encode(message)))

    async def _result(self, call: ToolCall) -> str:
        answer = await self._world.answer(call.name, call.arguments)
        self.served.append(answer.served)
        return answer.text
