"""A chat completions server that takes only conversations that OpenAI's API would."""

from __future__ import annotations

import json
from typing import Any

from tests.support import chat_stream as c
from tests.support import openai_sdk
from tests.support.strict import Piece, Strict

Message = dict[str, Any]


class StrictChat(Strict):
    path = "/v1/chat/completions"
    list_key = "messages"

    def problem(self, request: dict[str, Any]) -> str | None:
        waiting: list[str] = []
        for message in request["messages"]:
            if message["role"] == "tool":
                if message["tool_call_id"] not in waiting:
                    return f"no call {message['tool_call_id']} waits for a result"
                waiting.remove(message["tool_call_id"])
                continue
            if waiting:
                return f"these calls have no result: {waiting}"
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
            if not waiting and not message.get("content"):
                return "a message says nothing"
        return f"these calls have no result: {waiting}" if waiting else None

    def said(self, request: dict[str, Any], pieces: list[Piece]) -> list[Message]:
        text = "".join(piece.text for piece in pieces if not piece.name)
        calls = [
            {"id": self.call_id(piece), "type": "function",
             "function": {"name": piece.name, "arguments": piece.arguments}}
            for piece in pieces if piece.name
        ]  # fmt: skip
        return [{"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}]

    def whole(self, said: list[Message]) -> bytes:
        message = {**said[0], "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
        head = {"id": "c1", "object": "chat.completion", "created": 7, "model": "m-1"}
        return json.dumps({**head, "choices": [choice]}).encode()

    def stream(self, said: list[Message]) -> bytes:
        message = said[0]
        calls = message.get("tool_calls", [])
        out = c.chunk({"role": "assistant", "content": ""})
        out += b"".join(c.chunk({"content": piece}) for piece in (message["content"] or ""))
        for index, call in enumerate(calls):
            out += c.calling(c.call(index, call["function"]["name"], "", call["id"]))
            out += b"".join(c.calling(c.call(index, arguments=piece)) for piece in call["function"]["arguments"])
        return out + c.chunk({}, "tool_calls" if calls else "stop") + c.DONE

    def got(self, reply: bytes, *, streamed: bool) -> list[Message]:
        made = openai_sdk.accumulated(reply) if streamed else openai_sdk.parsed(reply)
        message = made.choices[0].message.to_dict()
        for call in message.get("tool_calls") or ():
            call["function"].pop("parsed_arguments", None)
        message.pop("parsed", None)
        return [message]

    def calls(self, got: list[Message]) -> list[tuple[str, str]]:
        return [(call["id"], call["function"]["name"]) for call in got[0].get("tool_calls") or ()]

    def results(self, calls: list[tuple[str, str]]) -> list[Message]:
        return [{"role": "tool", "tool_call_id": call_id, "content": "done"} for call_id, _ in calls]

    def user(self, text: str) -> Message:
        return {"role": "user", "content": text}
