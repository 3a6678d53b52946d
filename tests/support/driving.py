"""An exchange without sockets: arrivals by hand, effects in hand."""

from __future__ import annotations

import json
from typing import Any

from policies.egress import EgressLimit
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.retries import RetryBudget
from policies.rule import Rule
from policies.tools import ToolAllowlist
from proxy.arrivals import Arrival, Committed, Detected, Headers, ReplyBegan, ReplyEnded, ReplyPart, RequestArrived
from proxy.effects import Commit, Detect, Effect, EndReply, Forward, Respond, SendPart
from proxy.exchange import Exchange
from proxy.hall import Hall, Visitor
from proxy.redactor import Redactor
from proxy.routing import Router
from proxy.settings import Upstream
from trajectory.clock import ManualClock, seeded_entropy
from trajectory.record import Attempt

UPSTREAMS = {
    "openai": Upstream(base_url="https://api.openai.com"),
    "anthropic": Upstream(base_url="https://api.anthropic.com"),
    "gemini": Upstream(base_url="https://generativelanguage.googleapis.com"),
    "orders": Upstream(base_url="http://127.0.0.1:9000", kind="tool"),
    "files": Upstream(base_url="http://127.0.0.1:9100/mcp", kind="mcp"),
}
HOSTS = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com", "127.0.0.1:9000", "127.0.0.1:9100")
STREAM: Headers = (("Content-Type", "text/event-stream"),)
JSON: Headers = (("Content-Type", "application/json"),)


def rules(
    *, allowed: list[str] | None = None, max_retries: int | None = None, limit: int | None = None, final: bool = False
) -> list[Rule]:
    made: list[Rule] = [] if allowed is None else [ToolAllowlist(allowed)]
    made.append(EgressLimit(limit, None, HOSTS))
    if max_retries is not None:
        made.append(RetryBudget(max_retries, "final_message" if final else "refuse"))
    return made


def hall(*made: Rule, redactor: Redactor | None = None) -> Hall:
    engine = Engine(made or rules(), MemoryLedger())
    return Hall(Router(UPSTREAMS), engine, ManualClock(), seeded_entropy(1), redactor=redactor)


def asking(*messages: dict[str, Any] | str, stream: bool = False, **more: Any) -> bytes:
    """A request body; a plain string is a user's message."""
    listed = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages or ("hi",)]
    return json.dumps({"model": "m", "messages": listed, **({"stream": True} if stream else {}), **more}).encode()


def completion(content: str | None = "hello", calls: tuple[tuple[str, str, str], ...] = (), **more: Any) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return json.dumps({"id": "c", "object": "chat.completion", "model": "m-1", "choices": [choice], **more}).encode()


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Driven:
    """One exchange in `hall`. Detection is done at once and commits succeed, unless told otherwise."""

    def __init__(
        self,
        house: Hall,
        path: str = "/openai/v1/chat/completions",
        *,
        session: str | None = "S",
        method: str = "POST",
        by_hand: bool = False,
        address: str = "127.0.0.1",
    ) -> None:
        self.hall = house
        visitor = Visitor(session, None, None, address)
        destination = house.destination(method, path, visitor, None)
        self.exchange: Exchange
        self.exchange, _ = house.exchange(destination, visitor, "base_url")
        self.effects: list[Effect] = []
        self._by_hand = by_hand

    def give(self, *arrivals: Arrival) -> list[Effect]:
        """All effects of these arrivals."""
        made: list[Effect] = []
        waiting = list(arrivals)
        while waiting:
            new = self.exchange.receive(waiting.pop(0))
            made += new
            self.effects += new
            if not self._by_hand:
                waiting = [a for e in new if (a := self._answer(e)) is not None] + waiting
        return made

    def _answer(self, effect: Effect) -> Arrival | None:
        if isinstance(effect, Detect):
            assert self.hall.redactor is not None
            self.hall.redactor.search(effect.texts)
            return Detected(0.0)
        return Committed(0.0) if isinstance(effect, Commit) else None

    def ask(self, body: bytes, headers: Headers = ()) -> bytes | None:
        """What was forwarded, or None."""
        self.give(RequestArrived(headers, body))
        return self.forwarded

    def reply(self, body: bytes, status: int = 200, headers: Headers = JSON) -> bytes:
        self.give(ReplyBegan(status, headers, 0.1, len(body)), ReplyPart(body, 0.2), ReplyEnded(0.3))
        return self.delivered

    def flow(self, *parts: bytes, headers: Headers = STREAM) -> bytes:
        self.give(ReplyBegan(200, headers, 0.1), *(ReplyPart(part, 0.2) for part in parts), ReplyEnded(0.3))
        return self.delivered

    @property
    def forwarded(self) -> bytes | None:
        return next((e.body for e in self.effects if isinstance(e, Forward)), None)

    @property
    def delivered(self) -> bytes:
        return b"".join(
            e.data if isinstance(e, SendPart) else e.body for e in self.effects if isinstance(e, SendPart | Respond)
        )

    @property
    def responded(self) -> Respond:
        (found,) = [e for e in self.effects if isinstance(e, Respond)]
        return found

    @property
    def attempt(self) -> Attempt:
        (found,) = [e.attempt for e in self.effects if isinstance(e, Commit)]
        return found

    @property
    def is_ended(self) -> bool:
        return any(isinstance(e, EndReply | Respond) for e in self.effects)


def header_of(respond: Respond, name: str) -> str | None:
    return next((v for k, v in respond.headers if k.lower() == name), None)
