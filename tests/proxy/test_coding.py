"""Compressed bodies through the gateway: judged like any other, untouched where no rule concerns them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import brotli
import pytest
import zstandard
from aiohttp import web

from tests.support.gateway import joined, serve

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
coded = pytest.mark.parametrize("coding", CODINGS)
TOOL = {"type": "function", "function": {"name": "shell", "parameters": {}}}


def request(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}, indent=1).encode()


def completion(**message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello", **message}}
    return json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}, indent=1).encode()


def call(name: str) -> dict[str, Any]:
    return {"tool_calls": [{"id": "1", "type": "function", "function": {"name": name, "arguments": "{}"}}]}


class Upstream:
    """Answers with `parts` as they are, and says of them what `headers` say."""

    def __init__(self) -> None:
        self.url = ""
        self.parts: list[bytes] = [completion()]
        self.headers: dict[str, str] = {"Content-Type": "application/json"}
        self.seen: list[tuple[dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        response = web.StreamResponse(headers=self.headers)
        await response.prepare(request)
        for part in self.parts:
            await response.write(part)
        return response


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    scripted = Upstream()
    server = web.Server(scripted.handle, auto_decompress=False)  # type: ignore[arg-type]
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield scripted
    await runner.cleanup()


def house(tmp_path: Path, upstream: Upstream, **settings: Any) -> Any:
    return serve(tmp_path, upstreams={"openai": {"base_url": upstream.url}}, **settings)


async def ask(served: Any, body: bytes, coding: str | None = None) -> tuple[int, Any, bytes]:
    headers = {"Content-Type": "application/json", **({"Content-Encoding": coding} if coding else {})}
    url = served.url("openai") + "/v1/chat/completions"
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(url, data=body, headers=headers) as reply,
    ):
        return reply.status, reply.headers, await reply.read()


@coded
async def test_an_untouched_request_goes_on_as_it_came(tmp_path: Path, upstream: Upstream, coding: str) -> None:
    body = CODINGS[coding](request(tools=[TOOL]))
    async with house(tmp_path, upstream) as served:
        status, _, answer = await ask(served, body, coding)
    assert (status, answer) == (200, completion())
    headers, arrived = upstream.seen[0]
    assert (headers["content-encoding"], arrived) == (coding, body)
    (attempt,) = served.attempts
    assert joined(attempt.request) == request(tools=[TOOL])
    assert attempt.extra["request_coding"] == coding
    assert attempt.request_bytes == len(body)


@coded
async def test_a_compressed_request_is_judged_and_sent_plain_if_changed(
    tmp_path: Path, upstream: Upstream, coding: str
) -> None:
    body = CODINGS[coding](request(tools=[TOOL]))
    async with house(tmp_path, upstream, constraints={"allowed_tools": []}) as served:
        assert (await ask(served, body, coding))[0] == 200
    headers, arrived = upstream.seen[0]
    assert "content-encoding" not in headers
    assert json.loads(arrived) == json.loads(request())


@coded
async def test_a_whole_compressed_reply_is_judged(tmp_path: Path, upstream: Upstream, coding: str) -> None:
    upstream.headers["Content-Encoding"] = coding
    async with house(tmp_path, upstream, constraints={"allowed_tools": ["add"]}) as served:
        for name, passes in (("add", True), ("shell", False)):
            upstream.parts = [CODINGS[coding](completion(**call(name)))]
            _, headers, answer = await ask(served, request())
            if passes:
                assert (headers["Content-Encoding"], answer) == (coding, upstream.parts[0])
            else:
                assert "Content-Encoding" not in headers
                message = json.loads(answer)["choices"][0]["message"]
                assert not message["tool_calls"]
                assert "not on the allowlist" in message["content"]
    assert upstream.seen[0][0]["accept-encoding"] == "identity"
    assert [joined(attempt.reply) for attempt in served.attempts] == [completion(**call(n)) for n in ("add", "shell")]


@coded
async def test_a_compressed_stream_is_judged_event_by_event(tmp_path: Path, upstream: Upstream, coding: str) -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode() + b"\n\n"

    text = chunk({"role": "assistant", "content": "hello"})
    calls = [{"index": 0, "id": "1", "type": "function", "function": {"name": "shell", "arguments": "{}"}}]
    stream = text + chunk({"tool_calls": calls}) + chunk({}, "tool_calls") + b"data: [DONE]\n\n"
    body = CODINGS[coding](stream)
    upstream.headers = {"Content-Type": "text/event-stream", "Content-Encoding": coding}
    upstream.parts = [body[i : i + 7] for i in range(0, len(body), 7)]
    async with house(tmp_path, upstream) as served:
        _, headers, answer = await ask(served, request(stream=True))
        assert answer == stream
        assert "Content-Encoding" not in headers
    async with house(tmp_path, upstream, constraints={"allowed_tools": []}) as served:
        answer = (await ask(served, request(stream=True)))[2]
        assert answer.startswith(text)
        assert b'"name": "shell"' not in answer
        assert b"not on the allowlist" in answer
        assert answer.endswith(b"data: [DONE]\n\n")
    assert served.attempts[0].end == "complete"


async def test_a_stream_that_breaks_off_within_its_coding_fails_natively(tmp_path: Path, upstream: Upstream) -> None:
    body = gzip.compress(b'data: {"choices":[]}\n\n' * 50)
    upstream.headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
    upstream.parts = [body[:-9]]
    async with house(tmp_path, upstream) as served:
        answer = (await ask(served, request(stream=True)))[2]
    assert b"upstream_unreadable" in answer
    assert served.attempts[0].end == "cut"


@pytest.mark.parametrize("coding", ["compress", "gzip"])
async def test_a_reply_that_cannot_be_opened_is_an_error(tmp_path: Path, upstream: Upstream, coding: str) -> None:
    upstream.headers["Content-Encoding"] = coding
    async with house(tmp_path, upstream) as served:
        status, headers, answer = await ask(served, request())
    assert (status, json.loads(answer)["error"]["code"]) == (502, "upstream_unreadable")
    assert "Content-Encoding" not in headers


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", b"plain", 400),
        ("gzip", gzip.compress(request())[:-1], 400),
        ("gzip", gzip.compress(request()) + b"x", 400),
        ("aws-chunked", request(), 400),
        ("gzip, gzip, gzip, gzip", request(), 400),
        ("zstd", zstandard.compress(request(pad=" " * 200_000)), 413),
        ("br", brotli.compress(b" " * 30_000_000, quality=1), 413),
    ],
    ids=["no gzip", "cut", "too long", "unknown", "too many", "zstd too large", "br too large"],
)
async def test_a_request_that_cannot_be_opened_is_refused(
    tmp_path: Path, upstream: Upstream, coding: str, body: bytes, status: int
) -> None:
    async with house(tmp_path, upstream, max_body_bytes=100_000) as served:
        got, headers, answer = await ask(served, body, coding)
    assert (got, headers["x-ironcage-refusal"]) == (status, "unreadable_body")
    assert json.loads(answer)["error"]["code"] == "unreadable_body"
    assert not upstream.seen
    assert served.attempts[0].end == "refused"


async def test_a_masked_request_is_sent_plain(tmp_path: Path, upstream: Upstream) -> None:
    body = request(messages=[{"role": "user", "content": "write to jane.roe@clinic-example.org"}])
    async with house(tmp_path, upstream, policies={"redaction": {}}) as served:
        assert (await ask(served, zstandard.compress(body), "zstd"))[0] == 200
    headers, arrived = upstream.seen[0]
    assert "content-encoding" not in headers
    assert b"PII_EMAIL_" in arrived
    assert "clinic-example" not in repr(served.attempts)


async def test_a_tool_gets_its_compressed_body_and_the_record_can_be_read(tmp_path: Path, upstream: Upstream) -> None:
    body = gzip.compress(b'{"to":"jane.roe@clinic-example.org"}')
    settings = {"upstreams": {"orders": {"base_url": upstream.url, "kind": "tool"}}, "policies": {"redaction": {}}}
    async with serve(tmp_path, **settings) as served, aiohttp.ClientSession() as session:
        url = served.url("orders") + "/send"
        for coding, sent in (("gzip", body), ("aws-chunked", b"opaque")):
            async with session.post(url, data=sent, headers={"Content-Encoding": coding}) as reply:
                assert reply.status == 200
    assert [(headers["content-encoding"], got) for headers, got in upstream.seen] == [
        ("gzip", body), ("aws-chunked", b"opaque"),
    ]  # fmt: skip
    tool = served.attempts[0].tool
    assert tool is not None
    assert tool.arguments.startswith('{"to":"PII_EMAIL_')
