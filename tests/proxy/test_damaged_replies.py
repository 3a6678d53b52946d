"""Whatever an upstream answers, in every format, whole or streamed: the client gets it as it came, or an error in its
own dialect; never a refused call, never a broken gateway. Redaction is on, so all of it is searched and written down.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gateway import Served, serve
from tests.support.gateway_client import Client
from tests.support.scripted import Asked, Scripted, piece, whole
from tests.support.spoken import FORMATS, GOOD, Mcp, Spoken

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda raw: raw,
    "cut": lambda raw: raw[: len(raw) * 2 // 3],
    "empty": lambda raw: b"",
    "white space": lambda raw: b" \n \n" + raw,
    "no UTF-8": lambda raw: raw.replace(b'"name"', b'"\xff"'),
    "half a surrogate pair": lambda raw: raw.replace(b"evil", b"\\ud83d"),
    "key twice": lambda raw: raw.replace(b'"name"', b'"name":"good","name"'),
    "huge number": lambda raw: raw.replace(b":", b":1" + b"0" * 5000 + b',"n":', 1),
    "beyond a float": lambda raw: raw.replace(b":", b':1e999,"n":', 1),
    "nested": lambda raw: raw.replace(b":", b":" + b"[" * 400 + b"]" * 400 + b',"n":', 1),
    "nested deeper": lambda raw: raw.replace(b":", b":" + b"[" * 1500 + b"]" * 1500 + b',"n":', 1),
    "nested without end": lambda raw: raw.replace(b":", b":" + b"[" * 100_000, 1),
    "objects without end": lambda raw: raw.replace(b":", b':{"a":' * 50_000, 1),
    "names are numbers": lambda raw: raw.replace(b'"evil"', b"7"),
    "names are lists": lambda raw: raw.replace(b'"evil"', b'["evil"]'),
    "nulls": lambda raw: raw.replace(b"{", b"null", 1),
    "an array": lambda raw: b"[" + raw + b"]",
    "a page": lambda raw: b"<html><body>Bad gateway</body></html>",
    "garbage behind": lambda raw: raw + b"garbage",
    "zeros": lambda raw: b"\x00" * 100,
}


def damaged(spoken: Spoken, how: str, *, streamed: bool) -> bytes:
    damage = DAMAGE[how]
    if not streamed:
        return damage(spoken.whole)
    frames = list(spoken.frames)
    for place, frame in enumerate(frames):
        payload = spoken.framing.payload(frame)
        if payload.startswith(b"{"):
            try:
                frames[place] = spoken.framing.with_payload(frame, damage(payload))
            except ValueError:  # too long for a frame
                continue
    return b"".join(frames)


async def replied(served: Served, spoken: Spoken, how: str, *, streamed: bool) -> tuple[int, bytes]:
    upstream = "mcp" if isinstance(spoken, Mcp) else "model"
    request = json.loads(spoken.request)
    path = spoken.path
    if spoken.name.startswith(("openai", "anthropic", "ollama")) or spoken.name == "gemini.interactions":
        request["stream"] = streamed
    elif not streamed:
        path = path.replace("streamGenerateContent?alt=sse", "generateContent")
        path = path.replace("streamGenerateContent", "generateContent").replace("-stream", "")
    headers = {"Content-Type": "application/json", "x-damage": f"{FORMATS.index(spoken)} {int(streamed)} {how}"}
    async with await Client.of(served) as client:
        await client.send(f"/s/{spoken.name}/{upstream}{path}", json.dumps(request).encode(), **headers)
        status, answered = await client.head()
        return status, await client.rest(answered)


async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
    which, streamed, how = (asked.header("x-damage") or "").split(" ", 2)
    spoken = FORMATS[int(which)]
    body = damaged(spoken, how, streamed=streamed == "1")
    if streamed == "0":
        writer.write(whole(body))
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {spoken.stream_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + (piece(body) if body else b"") + piece(b""))
    await writer.drain()


@pytest.mark.parametrize("spoken", FORMATS, ids=repr)
async def test_no_reply_breaks_the_gateway_or_brings_a_refused_call(
    spoken: Spoken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Scripted(script) as upstream:
        upstreams = {"model": {"base_url": upstream.origin}, "mcp": {"base_url": upstream.origin, "kind": "mcp"}}
        redaction = {"types": [], "known_values": {"NAME": ["Wilhelmina Quarterstaff"]}}
        async with serve(
            tmp_path,
            upstreams=upstreams,
            constraints={"allowed_tools": [GOOD, f"mcp__mcp__{GOOD}"]},
            policies={"redaction": redaction},
        ) as served:
            for how in DAMAGE:
                for streamed in (False, True):
                    status, out = await replied(served, spoken, how, streamed=streamed)
                    assert status in (200, 400, 403, 502), (how, streamed, out[:300])
                    assert set(spoken.calls(out)) <= {GOOD}, (how, streamed, out)
            await served.doors.gateway.quiet(spoken.name)
            assert len(served.attempts) == 2 * len(DAMAGE)
    # asyncio's own are of this upstream, on which the gateway may hang up
    assert not [record for record in caplog.records if record.name != "asyncio" and record.levelno >= logging.ERROR]
