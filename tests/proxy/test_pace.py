"""What is let out when: an upstream that goes on only once the client has what it must have by then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.wire.sse import Framer
from tests.support.dialects import DIALECTS, Call, Says
from tests.support.gateway import joined, serve
from tests.support.gateway_client import Client, recorded
from tests.support.scripted import STREAM_HEAD, Asked, Scripted, piece

PERSON = "jane.roe@clinic-example.org"
RULES: dict[str, Any] = {
    "constraints": {"allowed_tools": ["weather"], "max_retries": 1, "network_egress_limit_mb": 10},
    "policies": {
        "redaction": {"types": ["EMAIL"]},
        "tools": {"arguments": {"weather": {"city": {"allow": ["Oslo.*", "Rome.*"]}}}},
    },
}
SAID = Says(
    "Please let me look at both of them, one by one.",
    (Call("weather", {"city": "Oslo in Norway"}), Call("weather", {"city": "Rome in Italy"})),
)
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": PERSON}]}),
    "responses": ("/v1/responses", {"input": PERSON}),
    "messages": ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": PERSON}]}),
    "gemini": ("/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": PERSON}]}]}),
    "interactions": ("/v1/interactions", {"input": PERSON}),
}
# Frames within a call whose arguments are still arriving. Gemini's calls come whole.
OPEN_CALL = {
    "chat": (b'"tool_calls": [',),
    "responses": (b'"in_progress", "call_id"', b"function_call_arguments"),
    "messages": (b'"tool_use", "id"', b"input_json_delta"),
    "gemini": (),
    "interactions": (b'"step": {"type": "function_call"', b"arguments_delta"),
}
# Frames that wait until the step is recorded. What ends an interaction waits for the [DONE] behind it.
LAST = {"chat": 1, "responses": 1, "messages": 1, "gemini": 1, "interactions": 2}


def frames(dialect: str) -> Iterator[tuple[bytes, bool]]:
    """Each frame of the stream, and whether a call is open behind it."""
    framer = Framer()
    for frame in framer.feed(DIALECTS[dialect].stream(SAID)):
        yield frame, any(mark in frame for mark in OPEN_CALL[dialect])
    assert framer.rest() == b""


@pytest.mark.parametrize("dialect", REQUESTS)
async def test_texts_flow_one_by_one_and_nothing_waits_longer_than_for_its_call(tmp_path: Path, dialect: str) -> None:
    told = list(frames(dialect))
    flowing = told[: -LAST[dialect]]
    go_on = asyncio.Queue[None]()

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for frame, _ in told:
            writer.write(piece(frame))
            await writer.drain()
            await go_on.get()
        writer.write(piece(b""))
        await writer.drain()

    path, body = REQUESTS[dialect]
    async with Scripted(script) as model, serve(tmp_path, upstreams={"m": {"base_url": model.origin}}, **RULES) as gw:
        async with await Client.of(gw) as client, asyncio.timeout(20):
            await client.send(f"/s/s1/m{path}", json.dumps({"model": "m", "stream": True, **body}).encode())
            assert (await client.head())[0] == 200
            waiting = b""
            for frame, is_open in flowing:
                waiting += frame
                if not is_open:
                    # all there is so far, in one chunk, while the upstream waits
                    assert await client.chunk() == waiting
                    waiting = b""
                go_on.put_nowait(None)
            for _ in told[len(flowing) :]:
                go_on.put_nowait(None)
            rest = b""
            while chunk := await client.chunk():
                rest += chunk
        attempt = await recorded(gw)
    assert rest == waiting + b"".join(frame for frame, _ in told[len(flowing) :])
    assert PERSON.encode() not in model.seen[0].body
    assert joined(attempt.reply) == b"".join(frame for frame, _ in told)
    assert attempt.client_reply is None and attempt.answer is not None
    assert [call.name for call in attempt.answer.calls] == ["weather", "weather"]
