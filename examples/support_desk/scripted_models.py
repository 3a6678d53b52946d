"""SIMULATED models of the demo behind an OpenAI-compatible chat completions endpoint. Not real models.

    POST /v1/chat/completions     streamed (with include_usage) or not; the models are those of planners.py
    GET  /v1/models

Usage numbers are characters / 4. `desk-wasteful` is sometimes overloaded: 503 once, then it answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from typing import Any

from aiohttp import web
from orders_server import main
from planners import CHARACTERS, Answer, Call, Conversation, Planner

TOKEN_DELAY_S = 0.0002
MAX_DELAY_S = 0.004
PIECE_CHARACTERS = 16


class ScriptedModels:
    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._turned_away: set[bytes] = set()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.add_routes([web.post("/v1/chat/completions", self.complete), web.get("/v1/models", self.models)])
        return application

    async def models(self, request: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "owned_by": "ironcage-demo"} for name in CHARACTERS]
        return web.json_response({"object": "list", "data": listed})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
            character = CHARACTERS.get(body["model"])
            conversation = Conversation.of(body["messages"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _error(400, f"cannot read this request: {error!r}")
        if character is None:
            return _error(404, f"there is no model {body['model']!r}; there are {', '.join(CHARACTERS)}")
        if self._is_overloaded(character.overloaded, raw):
            return _error(503, "overloaded, try again (this simulated fault comes once per request)")
        seed = conversation.seed
        if seed is None:
            seed = self._first_seed(body, conversation.gist)
        decision = Planner(character, conversation, seed).decide()
        choice = _choice(decision, f"call_s{seed}n{len(conversation.calls)}")
        usage = _usage(raw, choice)
        await asyncio.sleep(min(MAX_DELAY_S, usage["completion_tokens"] * TOKEN_DELAY_S))
        completion = {
            "id": "chatcmpl-" + hashlib.sha256(raw).hexdigest()[:20],
            "created": int(time.time()),
            "model": character.name,
        }
        if body.get("stream"):
            with_usage = (body.get("stream_options") or {}).get("include_usage", False)
            return await _stream(request, completion, choice, usage if with_usage else None)
        whole = {"index": 0, "logprobs": None, **choice}
        return web.json_response({**completion, "object": "chat.completion", "choices": [whole], "usage": usage})

    def _first_seed(self, body: dict[str, Any], gist: str) -> int:
        if isinstance(body.get("seed"), int):
            return int(body["seed"])
        key = f"{body['model']}/{gist}"
        self._asked[key] += 1
        return self._asked[key]

    def _is_overloaded(self, probability: float, raw: bytes) -> bool:
        digest = hashlib.sha256(raw).digest()
        if digest in self._turned_away:
            self._turned_away.discard(digest)
            return False
        if random.Random(digest).random() >= probability:
            return False
        self._turned_away.add(digest)
        return True


def _choice(decision: Answer | Call, call_id: str) -> dict[str, Any]:
    if isinstance(decision, Answer):
        message = {"role": "assistant", "content": decision.text, "refusal": None}
        return {"message": message, "finish_reason": "stop"}
    function = {"name": decision.tool, "arguments": json.dumps(decision.arguments)}
    call = {"id": call_id, "type": "function", "function": function}
    calling = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    return {"message": calling, "finish_reason": "tool_calls"}


def _usage(raw: bytes, choice: dict[str, Any]) -> dict[str, int]:
    asked, answered = len(raw) // 4, max(1, len(json.dumps(choice["message"])) // 4)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _error(status: int, message: str) -> web.Response:
    error = {"message": message, "type": "server_error" if status >= 500 else "invalid_request_error", "code": None}
    headers = {"retry-after-ms": "20"} if status >= 500 else {}
    return web.json_response({"error": error}, status=status, headers=headers)


async def _stream(
    request: web.Request, completion: dict[str, Any], choice: dict[str, Any], usage: dict[str, int] | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for delta in [*_deltas(choice["message"]), None]:
        reason = choice["finish_reason"] if delta is None else None
        part = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": reason}
        await response.write(_event({**completion, "object": "chat.completion.chunk", "choices": [part]}))
    if usage is not None:
        await response.write(_event({**completion, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message in the pieces that a stream brings it in: role first, then text or one call's arguments."""
    if message["content"] is not None:
        pieces = [{"content": piece} for piece in _pieces(message["content"])]
        return [{"role": "assistant", "content": ""}, *pieces]
    (call,) = message["tool_calls"]
    opened = {"index": 0, **call, "function": {"name": call["function"]["name"], "arguments": ""}}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": [opened]}]
    for piece in _pieces(call["function"]["arguments"]):
        deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    return deltas


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARACTERS] for at in range(0, len(text), PIECE_CHARACTERS)]


def _event(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()


if __name__ == "__main__":
    main(ScriptedModels().application(), "Simulated models of the ironcage demo.")
