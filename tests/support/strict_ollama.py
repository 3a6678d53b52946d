"""An Ollama server that takes only conversations whose calls are answered, by name and in order."""

from __future__ import annotations

import json
from typing import Any

from tests.support.strict import Ids, Item, Piece, Strict

_HEAD = {"model": "qwen", "created_at": "t"}
_END = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 3}


class StrictOllama(Strict):
    path = "/api/chat"
    list_key = "messages"

    def problem(self, request: dict[str, Any]) -> str | None:
        waiting: list[str] = []
        for message in request["messages"]:
            if message["role"] == "tool":
                if waiting[:1] != [message["tool_name"]]:
                    return f"a result of {message['tool_name']}, where {waiting} are waited for"
                waiting.pop(0)
                continue
            if waiting:
                return f"these calls have no result: {waiting}"
            functions = [call["function"] for call in message.get("tool_calls") or ()]
            waiting = [function["name"] for function in functions]
            if [function.get("index") for function in functions] != list(range(len(functions))):
                return "the calls are not numbered as they were"
        return f"these calls have no result: {waiting}" if waiting else None

    def said(self, request: dict[str, Any], pieces: list[Piece]) -> list[Item]:
        text = "".join(piece.text for piece in pieces if not piece.name)
        named = [piece for piece in pieces if piece.name]
        calls = [
            {"function": {"index": index, "name": piece.name, "arguments": json.loads(piece.arguments)}}
            for index, piece in enumerate(named)
        ]
        return [{"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}]

    def whole(self, said: list[Item]) -> bytes:
        return json.dumps({**_HEAD, "message": said[0], **_END}).encode()

    def stream(self, said: list[Item]) -> bytes:
        calls = [{"content": "", "tool_calls": [call]} for call in said[0].get("tool_calls", ())]
        told = [{"content": piece} for piece in said[0]["content"]] + calls
        lines = [{**_HEAD, "message": {"role": "assistant", **one}, "done": False} for one in told]
        lines.append({**_HEAD, "message": {"role": "assistant", "content": ""}, **_END})
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def got(self, reply: bytes, *, streamed: bool) -> list[Item]:
        messages = [json.loads(line)["message"] for line in reply.splitlines()]
        calls = [call for message in messages for call in message.get("tool_calls") or ()]
        text = "".join(message["content"] for message in messages)
        return [{"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}]

    def calls(self, got: list[Item]) -> Ids:
        return [("", call["function"]["name"]) for call in got[0].get("tool_calls") or ()]

    def results(self, calls: Ids) -> list[Item]:
        return [{"role": "tool", "tool_name": name, "content": "done"} for _, name in calls]

    def user(self, text: str) -> Item:
        return {"role": "user", "content": text}
