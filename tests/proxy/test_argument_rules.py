"""Calls judged by their arguments, in a house with real sockets: what flows while a call waits, and what never does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from policies.building import build_rules
from policies.constraints import Constraints
from policies.settings import PolicySettings
from policies.tool_names import PARALLEL
from tests.support.driving import DONE, HOSTS, Driven, asking, completion, event, hall
from tests.support.gateway import joined, serve
from tests.support.parity.format import Call, ModelFormat
from tests.support.parity.formats import MODEL_FORMATS
from tests.support.scripted import STREAM_HEAD, Asked, Scripted, piece

POLICIES: dict[str, Any] = {"tools": {"arguments": {"careful": {"path": {"under": ["/workspace"]}}}}}
IN_PIECES = [form for form in MODEL_FORMATS if form.name != "Gemini"]  # there a call comes whole


@pytest.mark.parametrize("form", IN_PIECES, ids=lambda form: form.name)
@pytest.mark.parametrize("path", ["/workspace/notes", "/etc/PRIVATE"])
async def test_text_is_there_while_the_call_behind_it_waits(tmp_path: Path, form: ModelFormat, path: str) -> None:
    """The upstream stops in the middle of the arguments until the client has the text."""
    has_text = asyncio.Event()
    events = form.stream("Let me see.", calls=(Call("careful", f'{{"path": "{path}"}}'), Call("free")))
    opened = next(i for i, event in enumerate(events) if b"careful" in event)

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + piece(b"".join(events[: opened + 3])))
        await writer.drain()
        await has_text.wait()
        writer.write(b"".join(piece(event) for event in (*events[opened + 3 :], b"")))

    async with Scripted(script) as upstream:
        places = {"m": {"base_url": upstream.origin}}
        async with serve(tmp_path, upstreams=places, policies=POLICIES) as served, aiohttp.ClientSession() as session:
            url = served.url("m") + form.streams_at
            async with session.post(url, data=form.body("hi", streamed=True)) as reply:
                got = b""
                while b"see." not in got:
                    got += await reply.content.readany()
                assert b"careful" not in got
                has_text.set()
                got += await reply.content.read()
    told = form.understood(got, streamed=True)
    if "PRIVATE" not in path:
        assert got == b"".join(events)
        return
    assert b"PRIVATE" not in got and told.calls == (("free", {}),) and "was refused by its arguments" in told.text
    (attempt,) = served.attempts
    assert attempt.answer is not None and [call.name for call in attempt.answer.calls] == ["careful", "free"]
    assert joined(attempt.reply) == b"".join(events) and joined(attempt.client_reply) == got  # both views are kept


async def test_a_stream_that_breaks_off_in_a_call_lets_nothing_of_it_out(tmp_path: Path) -> None:
    form = MODEL_FORMATS[0]
    events = form.stream("Let me see.", calls=(Call("careful", '{"path": "/workspace/notes"}'),))

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(piece(event) for event in events[:-3]))
        await writer.drain()

    async with Scripted(script) as upstream:
        places = {"m": {"base_url": upstream.origin}}
        async with (
            serve(tmp_path, upstreams=places, policies=POLICIES) as served,
            aiohttp.ClientSession() as session,
            session.post(served.url("m") + form.path, data=form.body("hi", streamed=True)) as reply,
        ):
            got = await reply.content.read()
    assert b"careful" not in got and form.understood(got, streamed=True).error
    assert [attempt.end for attempt in served.attempts] == ["cut"]


@pytest.mark.parametrize("path", ["/workspace/notes", "/etc/PRIVATE"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_within_another_is_judged_like_one_of_its_own(path: str, *, streamed: bool) -> None:
    use = {"recipient_name": "functions.careful", "parameters": {"path": path}}
    arguments = json.dumps({"tool_uses": [use]})
    made = Driven(hall(*build_rules(Constraints(), PolicySettings.model_validate(POLICIES), HOSTS)))
    made.ask(asking(stream=streamed))
    if streamed:
        begun = {"index": 0, "id": "c", "type": "function", "function": {"name": PARALLEL, "arguments": ""}}
        pieces = [{"index": 0, "function": {"arguments": text}} for text in (arguments[:50], arguments[50:])]
        out = made.flow(*(event({"tool_calls": [one]}) for one in (begun, *pieces)), event({}, "tool_calls"), DONE)
    else:
        out = made.reply(completion(None, (("c", PARALLEL, arguments),)))
    assert (b"PRIVATE" in out, b"tool_uses" in out) == (False, path.startswith("/workspace"))
