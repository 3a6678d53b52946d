"""A generateContent server that takes only conversations that Gemini would: calls answered, the first one signed."""

from __future__ import annotations

import json
from typing import Any

from tests.support import genai_sdk
from tests.support.strict import Ids, Item, Piece, Strict, seal


class StrictGemini(Strict):
    """Without `ids` it is an older model: calls are known by name and order."""

    path = "/v1/models/m:streamGenerateContent?alt=sse"
    list_key = "contents"

    def __init__(self, *, ids: bool = True) -> None:
        super().__init__()
        self._has_ids = ids

    def request(self, items: list[Item], *, streamed: bool, **more: Any) -> bytes:
        return json.dumps({**more, "contents": items, "generationConfig": {"maxOutputTokens": 9}}).encode()

    def problem(self, request: dict[str, Any]) -> str | None:
        waiting: list[tuple[str | None, str]] = []
        turns = _turns(request["contents"])
        for at, (role, parts) in enumerate(turns):
            given = [_named(part["functionResponse"]) for part in parts if "functionResponse" in part]
            if given != waiting:
                return f"the function responses {given} are not those to the calls {waiting}"
            calls = [part for part in parts if "functionCall" in part]
            waiting = [_named(call["functionCall"]) for call in calls]
            signatures = [call.get("thoughtSignature") for call in calls]
            if calls and signatures != [seal(_bound(turns[:at])), *[None] * (len(calls) - 1)]:
                return f"the calls of turn {at} are signed {signatures}"
            if any(part == {} or part.get("text") == "" for part in parts) or (waiting and role != "model"):
                return f"turn {at} has an empty part"
        return f"no function response to {waiting}" if waiting else None

    def said(self, request: dict[str, Any], pieces: list[Piece]) -> list[Item]:
        signature: dict[str, str] = {"thoughtSignature": seal(_bound(_turns(request["contents"])))}
        parts: list[Item] = []
        for piece in pieces:
            if not piece.name:
                parts.append({"text": piece.text})
                continue
            call_id = {"id": self.call_id(piece)} if self._has_ids else {}
            parts.append(
                {"functionCall": {**call_id, "name": piece.name, "args": json.loads(piece.arguments)}, **signature}
            )
            signature = {}
        return [{"role": "model", "parts": parts}]

    def whole(self, said: list[Item]) -> bytes:
        return json.dumps(_reply(said[0]["parts"], finish="STOP")).encode()

    def stream(self, said: list[Item]) -> bytes:
        parts = said[0]["parts"]
        told = [_reply([part], finish="STOP" if part is parts[-1] else None) for part in parts]
        return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in told)

    def got(self, reply: bytes, *, streamed: bool) -> list[Item]:
        """Of a stream, a content for each chunk, as the client's chats keep it."""
        replies = genai_sdk.chunks(reply) if streamed else [genai_sdk.parsed(reply)]
        contents = [r.candidates[0].content for r in replies]
        return [c.model_dump(mode="json", by_alias=True, exclude_none=True) for c in contents]

    def calls(self, got: list[Item]) -> Ids:
        found = [part["functionCall"] for content in got for part in content["parts"] if "functionCall" in part]
        return [(call.get("id", ""), call["name"]) for call in found]

    def results(self, calls: Ids) -> list[Item]:
        parts = [
            {"functionResponse": {**({"id": call_id} if call_id else {}), "name": name, "response": {"output": "done"}}}
            for call_id, name in calls
        ]
        return [{"role": "user", "parts": parts}] if parts else []

    def user(self, text: str) -> Item:
        return {"role": "user", "parts": [{"text": text}]}


def _reply(parts: list[Item], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    return {"candidates": [{**candidate, **({"finishReason": finish} if finish else {})}], "modelVersion": "m"}


def _named(call: Item) -> tuple[str | None, str]:
    return call.get("id"), call["name"]


def _turns(contents: list[Item]) -> list[tuple[str, list[Item]]]:
    """Contents of the model in a row are one turn."""
    turns: list[tuple[str, list[Item]]] = []
    for content in contents:
        role = content["role"]
        if role == "model" and turns and turns[-1][0] == role:
            turns[-1][1].extend(content["parts"])
        else:
            turns.append((role, list(content["parts"])))
    return turns


def _bound(turns: list[tuple[str, list[Item]]]) -> Any:
    return [
        [role, [{k: v for k, v in part.items() if k != "thoughtSignature"} for part in parts]] for role, parts in turns
    ]
