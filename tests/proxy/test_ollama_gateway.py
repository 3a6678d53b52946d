"""Ollama's native API through the gateway's own sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.gateway import Served, joined, serve

PERSON = "jane.roe@clinic-example.org"
USER = {"role": "user", "content": f"Write to {PERSON}."}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("mail", "shell")
]


class Model:
    """Calls `mail` with the address that it was given, and `shell`; or answers with `status`."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.seen: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.seen.append(asked)
        if self.status != 200:
            return web.json_response({"error": "busy"}, status=self.status)
        address = asked["messages"][-1]["content"].split()[-1].rstrip(".")
        half = len(address) // 2
        said = [f"To {address[:half]}", address[half:], ""]
        calls = [
            {"function": {"index": i, "name": name, "arguments": {"to": address}}}
            for i, name in enumerate(("shell", "mail"))
        ]
        if asked.get("stream") is False:
            message = {"role": "assistant", "content": "".join(said), "tool_calls": calls}
            return web.json_response(self._line(message, done=True))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for piece in said:
            message = {"role": "assistant", "content": piece, **({"tool_calls": calls} if not piece else {})}
            await response.write(json.dumps(self._line(message, done=False)).encode() + b"\n")
        await response.write(json.dumps(self._line({"role": "assistant", "content": ""}, done=True)).encode() + b"\n")
        return response

    def _line(self, message: dict[str, Any], *, done: bool) -> dict[str, Any]:
        end = {"done_reason": "stop", "prompt_eval_count": 5, "eval_count": 4} if done else {}
        return {"model": "qwen", "created_at": "2026-11-23T10:00:00Z", "message": message, "done": done, **end}


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    scripted = Model()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", scripted.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield scripted
    await runner.cleanup()


def house(tmp_path: Path, model: Model, **settings: Any) -> Any:
    return serve(tmp_path, upstreams={"local": {"base_url": model.url}}, **settings)


async def chat(served: Served, **fields: Any) -> tuple[int, str, list[dict[str, Any]]]:
    body = {"model": "qwen", "messages": [USER], "tools": TOOLS, **fields}
    async with aiohttp.ClientSession() as session, session.post(served.url("local") + "/api/chat", json=body) as reply:
        lines = (await reply.read()).splitlines()
        return reply.status, reply.content_type, [json.loads(one) for one in lines if one]


def heard(lines: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    messages = [one["message"] for one in lines]
    calls = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    return "".join(message.get("content", "") for message in messages), calls


@pytest.mark.parametrize("stream", [True, False])
async def test_calls_are_judged_and_values_masked_and_restored(tmp_path: Path, model: Model, stream: bool) -> None:
    settings: dict[str, Any] = {"constraints": {"allowed_tools": ["mail"]}, "policies": {"redaction": {}}}
    async with house(tmp_path, model, **settings) as served:
        status, kind, lines = await chat(served, **({} if stream else {"stream": False}))
    assert (status, kind) == (200, "application/x-ndjson" if stream else "application/json")
    text, calls = heard(lines)
    assert text.startswith(f"To {PERSON}\n\n")
    assert '"shell" was called, and it is not on the allowlist' in text
    assert calls == [{"index": 0, "name": "mail", "arguments": {"to": PERSON}}]
    (asked,) = model.seen
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["mail"]
    assert "PII_EMAIL_" in asked["messages"][0]["content"]
    (attempt,) = served.attempts
    assert (attempt.wire, attempt.end, attempt.streamed, attempt.model) == ("ollama.chat", "complete", stream, "qwen")
    assert attempt.answer is not None
    assert [call.name for call in attempt.answer.calls] == ["shell", "mail"]
    assert "clinic-example" not in repr(served.attempts)


@pytest.mark.parametrize("stream", [True, False])
async def test_nothing_changes_where_no_rule_concerns_it(tmp_path: Path, model: Model, stream: bool) -> None:
    async with house(tmp_path, model) as served:
        _, _, lines = await chat(served, stream=stream)
    text, calls = heard(lines)
    assert (text, [call["name"] for call in calls]) == (f"To {PERSON}", ["shell", "mail"])
    assert model.seen[0]["tools"] == TOOLS
    assert served.attempts[0].client_reply is None
    assert [json.loads(one) for one in joined(served.attempts[0].reply).splitlines()] == lines


async def test_an_error_passes_and_a_spent_retry_budget_refuses(tmp_path: Path, model: Model) -> None:
    model.status = 429
    async with house(tmp_path, model, constraints={"max_retries": 1}) as served:
        assert [(await chat(served))[::2] for _ in range(2)] == [(429, [{"error": "busy"}])] * 2
        status, _, (said,) = await chat(served)
    assert (status, said["code"]) == (400, "retry_budget_exhausted")
    assert "retry budget of this trajectory is spent" in said["error"]
    assert len(model.seen) == 2


async def test_the_final_message_ends_a_run_in_its_own_format(tmp_path: Path, model: Model) -> None:
    model.status = 500
    settings: dict[str, Any] = {
        "constraints": {"max_retries": 0}, "policies": {"retries": {"on_exhausted": "final_message"}},
    }  # fmt: skip
    async with house(tmp_path, model, **settings) as served:
        await chat(served)
        status, kind, (said,) = await chat(served)
    assert (status, kind, said["done"]) == (200, "application/x-ndjson", True)
    assert "retry budget" in said["message"]["content"]


async def test_keys_in_another_case_are_refused(tmp_path: Path, model: Model) -> None:
    async with house(tmp_path, model, constraints={"allowed_tools": []}) as served:
        status, _, (said,) = await chat(served, Tools=TOOLS)
    assert (status, said["code"]) == (400, "unreadable_body")
    assert not model.seen
