"""A Messages server that takes only conversations that Anthropic's API would, with thinking bound to its prefix."""

from __future__ import annotations

import json
from typing import Any

from tests.support import anthropic_events as a
from tests.support import anthropic_sdk
from tests.support.strict import Ids, Item, Piece, Strict, seal


class StrictMessages(Strict):
    path = "/v1/messages"
    list_key = "messages"

    def request(self, items: list[Item], *, streamed: bool, **more: Any) -> bytes:
        return super().request(items, streamed=streamed, max_tokens=64, **more)

    def problem(self, request: dict[str, Any]) -> str | None:
        waiting: list[str] = []
        for at, message in enumerate(request["messages"]):
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
            if sorted(results) != sorted(waiting) or any(b["type"] != "tool_result" for b in blocks[: len(results)]):
                return f"message {at} must begin with the results of {waiting}, and begins with those of {results}"
            if any(b["type"] == "text" and not b["text"] for b in blocks):
                return f"message {at} has an empty text"
            for place, block in enumerate(blocks):
                if block["type"] == "thinking" and block["signature"] != seal(
                    request.get("system"), _bound(request["messages"][:at]), _bound(blocks[:place])
                ):
                    return f"messages.{at}.content.{place}: Invalid `signature` in `thinking` block"
            waiting = [b["id"] for b in blocks if b["type"] == "tool_use"]
        return f"these calls have no result: {waiting}" if waiting else None

    def said(self, request: dict[str, Any], pieces: list[Piece]) -> list[Item]:
        blocks: list[Item] = []
        for piece in pieces:
            signature = seal(request.get("system"), _bound(request["messages"]), _bound(blocks))
            blocks.append({"type": "thinking", "thinking": "Hm.", "signature": signature})
            if piece.name:
                made = {"id": self.call_id(piece), "name": piece.name, "input": json.loads(piece.arguments)}
                blocks.append({"type": "tool_use", **made})
            else:
                blocks.append({"type": "text", "text": piece.text})
        return [{"role": "assistant", "content": blocks}]

    def call_id(self, piece: Piece) -> str:
        return f"toolu_{super().call_id(piece)}"

    def whole(self, said: list[Item]) -> bytes:
        blocks = said[0]["content"]
        head = {"id": "msg_1", "type": "message", "model": "m-1", **said[0]}
        return json.dumps({**head, "stop_reason": _reason(blocks), "stop_sequence": None, "usage": a.USAGE}).encode()

    def stream(self, said: list[Item]) -> bytes:
        blocks = said[0]["content"]
        return a.begun() + b"".join(_streamed(at, block) for at, block in enumerate(blocks)) + a.ended(_reason(blocks))

    def got(self, reply: bytes, *, streamed: bool) -> list[Item]:
        message = anthropic_sdk.accumulated(reply, beta=False) if streamed else anthropic_sdk.parsed(reply)
        return [{"role": "assistant", "content": [block.to_dict() for block in message.content]}]

    def calls(self, got: list[Item]) -> Ids:
        return [(b["id"], b["name"]) for b in got[0]["content"] if b["type"] == "tool_use"]

    def results(self, calls: Ids) -> list[Item]:
        listed = [{"type": "tool_result", "tool_use_id": call_id, "content": "done"} for call_id, _ in calls]
        return [{"role": "user", "content": listed}] if listed else []

    def user(self, text: str) -> Item:
        return {"role": "user", "content": text}


def _reason(blocks: list[Item]) -> str:
    return "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"


def _streamed(at: int, block: Item) -> bytes:
    match block["type"]:
        case "thinking":
            begun = {**block, "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
            return a.block(at, begun, *deltas, {"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            pieces = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            return a.block(at, {**block, "input": {}}, *deltas)
        case _:
            return a.text(at, *block["text"])


def _bound(value: Any) -> Any:
    """What a signature is bound to: not marks for the cache, nor absent fields, nor which form a text has."""
    if isinstance(value, list):
        return [_bound(one) for one in value]
    if isinstance(value, dict):
        left = {k: _bound(v) for k, v in value.items() if k not in ("cache_control", "citations") and v is not None}
        if "role" in left and isinstance(left["content"], str):
            left["content"] = [{"type": "text", "text": left["content"]}]
        return left
    return value
