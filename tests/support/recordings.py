"""Recorded chat trajectories, and a small house that answers from a script and records as the gateway does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from proxy.approvals import Approver
from proxy.arrivals import Headers
from proxy.prompting import PromptSwap
from proxy.street import Street
from proxy.wire.openai_chat_types import Turn
from replay.house import BudgetSpent, Masked
from trajectory.conversation import Reply, ToolCall
from trajectory.errors import OperatorError
from trajectory.ids import trajectory_id
from trajectory.memory import MemoryStore
from trajectory.record import Attempt, Span, ToolUse
from trajectory.runs import Candidate, Limits

Message = dict[str, Any]
Script = Callable[[list[Message]], tuple[int, Message]]
"""From the messages of a request to status and the assistant's message (or an error body)."""


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def calls(*wanted: tuple[str, str, str]) -> Message:
    """An assistant message with tool calls (id, name, raw arguments)."""
    tool_calls = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in wanted]
    return {"role": "assistant", "content": None, "tool_calls": tool_calls}


def result(call_id: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def request_body(messages: list[Message], model: str = "prod-1", **rest: Any) -> bytes:
    return json.dumps({"model": model, "messages": messages, **rest}).encode()


def reply_of(message: Message) -> Reply:
    turn = Turn(content=message.get("content"))
    proposed = tuple(
        ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or ()
    )
    return Reply(text=turn.text(), calls=proposed, finish="tool_call" if proposed else "end")


def model_attempt(
    trajectory: str, number: int, body: bytes, message: Message | None, *, model: str = "prod-1", **rest: Any
) -> Attempt:
    session, _, agent = trajectory.partition("/")
    fields: dict[str, Any] = {
        "id": f"{trajectory}-{number}",
        "operation": f"{trajectory}-op{number}",
        "trajectory": trajectory,
        "session": session,
        "agent": agent or None,
        "number": 1,
        "kind": "model",
        "door": "base_url",
        "wire": "openai.chat",
        "upstream": "openai",
        "host": "api.example",
        "method": "POST",
        "path": "/v1/chat/completions",
        "started_at": 1000.0 + number,
        "end": "complete",
        "status": 200,
        "total_s": 0.5,
        "request": (Span.of(body),),
        "model": model,
        "answer": reply_of(message) if message else None,
    }
    return Attempt(**{**fields, **rest})


def tool_attempt(trajectory: str, number: int, name: str, arguments: str) -> Attempt:
    return model_attempt(
        trajectory, number, b"", None, kind="tool", wire="http", upstream="orders", model=None, request=(),
        tool=ToolUse(name, arguments),
    )  # fmt: skip


def record(store: MemoryStore, trajectory: str, conversation: list[Message], *, task: str | None = None) -> None:
    """Record a whole conversation as an agent would have sent it: one model request for each assistant message."""
    number = 0
    for index, message in enumerate(conversation):
        if message["role"] == "assistant":
            body = request_body(conversation[:index], tools=[{"type": "function", "function": {"name": "look"}}])
            store.append([model_attempt(trajectory, number, body, message, task=task)])
            number += 1


class ScriptedHouse:
    """Implements replay.house.House over a MemoryStore; model calls are answered by `scripts`, by model name.

    An agent process finds its candidate's model in HOUSE_MODEL; its session is recorded as one step that said
    "done by MODEL".
    """

    def __init__(self, store: MemoryStore, scripts: Mapping[str, Script] | None = None) -> None:
        self._store = store
        self._scripts = dict(scripts or {})
        self.open: dict[str, tuple[Candidate, str, BudgetSpent]] = {}
        self.seen: list[tuple[str, str]] = []
        self.stated = {"constraints": "c-1", "policies": "p-1"}
        self.enforced = Limits()
        self.asked = 0
        self.reached = asyncio.Event()
        self.held: asyncio.Event | None = None

    data_url = "http://127.0.0.1:1"
    access: Headers = ()
    proxy_url: str | None = None
    ca_file: Path | None = None

    @property
    def store(self) -> MemoryStore:
        return self._store

    def open_session(
        self,
        session: str,
        candidate: Candidate | None,
        *,
        task: str,
        seed: int,
        budget_spent: BudgetSpent,
        street: Street | None = None,
        prompt: PromptSwap | None = None,
        approver: Approver | None = None,
    ) -> None:
        assert candidate is not None
        if candidate.upstream == "nowhere":
            raise OperatorError("there is no upstream 'nowhere'")
        self.open[session] = (candidate, task, budget_spent)
        self.seen.append((candidate.name, task))

    def base_path(self, upstream: str) -> str:
        return ""

    async def close_session(self, session: str) -> None:
        candidate, task, _ = self.open[session]
        root = trajectory_id(session, None)
        if not self._store.find(session=session):
            message = said(f"done by {candidate.model}")
            self._store.append([model_attempt(root, 0, request_body([]), message, model=candidate.model, task=task)])
        self._store.launched(root, None, task=task, source="replay")

    def environment(self, session: str) -> dict[str, str]:
        return {"HOUSE_MODEL": self.open[session][0].model}

    def applied(self, session: str) -> Limits:
        return self.enforced

    def conditions(self) -> Mapping[str, str]:
        return self.stated

    async def ask(self, session: str, upstream: str, path: str, body: bytes) -> tuple[int, bytes]:
        candidate, task, budget_spent = self.open[session]
        messages = json.loads(body)["messages"]
        self.reached.set()
        if self.held is not None:
            budget_spent("egress_budget", "all of it is spent")
            await self.held.wait()
        status, message = self._scripts[candidate.model](messages)
        self.asked += 1
        attempt = model_attempt(
            session, self.asked, body, message if status < 400 else None, model=candidate.model, task=task,
            status=status, end="complete" if status < 400 else "failed",
        )  # fmt: skip
        self._store.append([attempt])
        reply = {"choices": [{"message": message}]} if status < 400 else message
        return status, json.dumps(reply).encode()

    def masking(self, session: str) -> Masked:
        async def masked(text: str) -> str:
            return text.replace("ada@example.org", "<EMAIL_1>")

        return masked
