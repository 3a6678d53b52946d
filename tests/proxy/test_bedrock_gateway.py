"""Bedrock through the gateway's own sockets: requests go on as they came, or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from proxy.wire.eventstream import CONTENT_TYPE, FrameReader, encoded
from tests.support.gateway import Served, joined, serve

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/bedrock, SignedHeaders=host;x-amz-date, Signature=0"}
PERSON = "jane.roe@clinic-example.org"


def tool(name: str) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": {}}}}


def event(kind: str, **payload: Any) -> bytes:
    return encoded({":event-type": kind, ":message-type": "event"}, json.dumps(payload).encode())


class Model:
    """Calls `calls`, whole or as events."""

    def __init__(self) -> None:
        self.url = ""
        self.calls = "mail"
        self.status = 200
        self.seen: list[tuple[str, dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.seen.append((request.raw_path, headers, await request.read()))
        if self.status != 200:
            return web.json_response({"message": "slow down"}, status=self.status)
        use = {"toolUseId": "t1", "name": self.calls}
        if not request.path.endswith("stream"):
            content = [{"text": "ok"}, {"toolUse": {**use, "input": {}}}]
            output = {"message": {"role": "assistant", "content": content}}
            return web.json_response({"output": output, "stopReason": "tool_use", "usage": {"inputTokens": 1}})
        frames = [
            event("contentBlockDelta", contentBlockIndex=0, delta={"text": "ok"}),
            event("contentBlockStart", contentBlockIndex=1, start={"toolUse": use}),
            event("messageStop", stopReason="tool_use"),
            event("metadata", usage={"inputTokens": 1, "outputTokens": 2}),
        ]
        return web.Response(body=b"".join(frames), headers={"Content-Type": CONTENT_TYPE})


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
    return serve(tmp_path, upstreams={"aws": {"base_url": model.url}}, **settings)


def body(text: str = "hi", *tools: str) -> bytes:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    if tools:
        asked["toolConfig"] = {"tools": [tool(name) for name in tools]}
    return json.dumps(asked, indent=1).encode()


async def ask(served: Served, data: bytes, verb: str = "converse") -> tuple[int, Any, bytes]:
    url = URL(served.url("aws") + f"/model/eu.claude-5%3A0/{verb}", encoded=True)
    async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=SIGNED) as reply:
        return reply.status, reply.headers, await reply.read()


def frames(raw: bytes) -> list[Any]:
    return FrameReader().feed(raw)


@pytest.mark.parametrize("verb", ["converse", "converse-stream"])
async def test_what_no_rule_concerns_passes_with_its_signature(tmp_path: Path, model: Model, verb: str) -> None:
    asked = body("hi", "mail")
    async with house(tmp_path, model, constraints={"allowed_tools": ["mail"]}) as served:
        status, headers, answer = await ask(served, asked, verb)
    path, sent, arrived = model.seen[0]
    assert (path, arrived, sent["authorization"]) == (
        f"/model/eu.claude-5%3A0/{verb}", asked, SIGNED["Authorization"],
    )  # fmt: skip
    assert status == 200
    (attempt,) = served.attempts
    assert (attempt.wire, attempt.model, attempt.end) == ("bedrock.converse", "eu.claude-5:0", "complete")
    assert (attempt.streamed, attempt.client_reply) == (verb == "converse-stream", None)
    assert joined(attempt.reply) == answer
    assert attempt.answer is not None
    assert [call.name for call in attempt.answer.calls] == ["mail"]
    assert headers["Content-Type"].startswith(CONTENT_TYPE if attempt.streamed else "application/json")


@pytest.mark.parametrize("verb", ["converse", "converse-stream", "count-tokens"])
async def test_a_tool_beyond_the_allowlist_refuses_the_request(tmp_path: Path, model: Model, verb: str) -> None:
    async with house(tmp_path, model, constraints={"allowed_tools": ["mail"]}) as served:
        status, headers, answer = await ask(served, body("hi", "mail", "shell"), verb)
    assert (status, headers["x-ironcage-refusal"]) == (400, "tool_not_allowed")
    said = json.loads(answer)
    assert said["__type"] == "ValidationException"
    assert "signed" in said["message"]
    assert "shell" in said["message"]
    assert not model.seen
    assert served.attempts[0].end == "refused"


async def test_a_refused_call_fails_the_reply_natively(tmp_path: Path, model: Model) -> None:
    model.calls = "shell"
    async with house(tmp_path, model, constraints={"allowed_tools": ["mail"]}) as served:
        status, headers, answer = await ask(served, body())
        assert (status, headers["x-ironcage-refusal"]) == (400, "tool_not_allowed")
        assert '"shell" was called' in json.loads(answer)["message"]
        _, _, answer = await ask(served, body(), "converse-stream")
    first, last = frames(answer)
    assert first.headers[":event-type"] == "contentBlockDelta"
    assert last.headers[":exception-type"] == "validationException"
    assert b"shell" in last.payload
    whole, streamed = served.attempts
    assert (whole.end, streamed.end) == ("refused", "cut")
    for attempt in served.attempts:
        assert [note.code for note in attempt.verdicts] == ["tool_not_allowed"]
        assert b"shell" in joined(attempt.reply)


async def test_personal_data_refuses_the_request(tmp_path: Path, model: Model) -> None:
    async with house(tmp_path, model, policies={"redaction": {}}) as served:
        status, headers, answer = await ask(served, body(f"write to {PERSON}"))
        assert (status, headers["x-ironcage-refusal"]) == (400, "sensitive_data_refused")
        assert "signed" in json.loads(answer)["message"]
        assert not model.seen
        for verb in ("converse", "converse-stream"):
            assert (await ask(served, body("hello there"), verb))[0] == 200
        for verb in ("invoke", "invoke-with-response-stream"):  # nobody can say what they hold
            assert (await ask(served, body("hello there"), verb))[1]["x-ironcage-refusal"] == "unreadable_body"
    assert len(model.seen) == 2
    assert PERSON not in repr(served.attempts)


async def test_opaque_calls_need_a_word_of_the_allowlist(tmp_path: Path, model: Model) -> None:
    async with house(tmp_path, model) as served:
        assert (await ask(served, b'{"prompt":"x"}', "invoke"))[0] == 200
        status, _, answer = await ask(served, b'{"prompt":"x"}', "invoke-with-response-stream")
        assert (status, len(frames(answer))) == (200, 4)
    async with house(tmp_path, model, constraints={"allowed_tools": []}) as served:
        assert (await ask(served, b'{"prompt":"x"}', "invoke"))[1]["x-ironcage-refusal"] == "tool_not_allowed"
    async with house(tmp_path, model, constraints={"allowed_tools": ["bedrock_invoke"]}) as served:
        assert (await ask(served, b'{"prompt":"x"}', "invoke"))[0] == 200


async def test_an_error_passes_and_a_spent_retry_budget_refuses(tmp_path: Path, model: Model) -> None:
    model.status = 429
    async with house(tmp_path, model, constraints={"max_retries": 1}) as served:
        for _ in range(2):
            status, _, answer = await ask(served, body())
            assert (status, json.loads(answer)) == (429, {"message": "slow down"})
        assert (await ask(served, body()))[1]["x-ironcage-refusal"] == "retry_budget_exhausted"
    assert len(model.seen) == 2
