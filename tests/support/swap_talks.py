"""A swap session talked to without a network: requests of an agent in, replies of a candidate in, both ways out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from proxy.effects import Forward
from proxy.wire.format import Rendered
from replay.swap.dialects import DIALECTS
from replay.swap.session import Asked, SwapSession
from trajectory.runs import Candidate

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@dataclass
class Talk:
    """`sent` are the bodies that the candidate was sent."""

    agent: str
    candidate: str
    session: SwapSession = field(init=False)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = SwapSession(Candidate(name="c", upstream="u", model="m", wire=self.candidate), "", 7)

    def ask(self, body: Any, path: str | None = None) -> Asked | Forward | Rendered:
        where = path or DIALECTS[self.agent].path("", "prod")
        return self.session.request(
            Forward("u", "POST", where, (("Authorization", "Bearer k"),), json.dumps(body).encode())
        )

    def said(self, body: Any, reply: Any, status: int = 200, path: str | None = None) -> Any:
        """What the agent gets for `body` where the candidate replies `reply`."""
        asked = self.ask(body, path)
        assert isinstance(asked, Asked), asked
        self.sent.append(json.loads(asked.forward.body))
        rendered, _ = self.session.reply(asked, status, (), json.dumps(reply).encode())
        self.status = rendered.status
        return json.loads(rendered.body) if rendered.content_type == "application/json" else rendered.body

    def lost(self, kind: str) -> set[tuple[str, str]]:
        return {(loss.where, loss.what) for loss in self.session.lost if loss.kind == kind}


def message(*content: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    """A reply of Messages."""
    usage = {"input_tokens": 3, "output_tokens": 2}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    return {**head, "content": list(content), "stop_reason": stop, "usage": usage}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def thinking(number: int) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "hm", "signature": f"sig{number}"}


def use(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
