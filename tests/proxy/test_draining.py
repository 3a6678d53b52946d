"""A proxy that is told to stop: nothing new comes in, and what is under way may end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from proxy.model_operation import ModelOperation
from proxy.under_way import UnderWay
from tests.support.gateway import serve
from tests.support.gateway_client import Client
from tests.support.scripted import STREAM_HEAD, Asked, Scripted, piece

FIRST = b'data: {"id": "c", "choices": [{"index": 0, "delta": {"content": "one"}}]}\n\n'
LAST = b'data: {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
ASK = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()


class Held:
    """A model that says the second half of its reply when it may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def __call__(self, _: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + piece(FIRST))
        await self.may_end.wait()
        writer.write(piece(LAST) + piece(b""))
        await writer.drain()


async def test_a_stream_under_way_ends_whole_and_a_new_connection_is_not_taken(tmp_path: Path) -> None:
    held, rest = Held(), b""
    async with (
        Scripted(held) as model,
        serve(tmp_path, upstreams={"m": {"base_url": model.origin}}) as gw,
        await Client.of(gw) as client,
        asyncio.timeout(20),
    ):
        await client.send("/s/s1/m/v1/chat/completions", ASK)
        assert (await client.head())[0] == 200
        assert await client.chunk() == FIRST
        draining = asyncio.create_task(gw.doors.drain(20))
        with pytest.raises(ConnectionError):
            while True:  # until the door is shut
                async with await Client.of(gw):
                    pass
        assert not draining.done()
        held.may_end.set()
        while chunk := await client.chunk():
            rest += chunk
        await draining
    assert rest == LAST
    assert [attempt.end for attempt in gw.attempts] == ["complete"]


async def test_what_does_not_end_in_time_is_cut_and_written_down_as_cut_off(tmp_path: Path) -> None:
    held = Held()
    async with Scripted(held) as model, asyncio.timeout(20):
        async with serve(tmp_path, upstreams={"m": {"base_url": model.origin}}) as gw:
            client = await Client.of(gw)
            await client.send("/s/s1/m/v1/chat/completions", ASK)
            assert (await client.head())[0] == 200
            assert await client.chunk() == FIRST
            await gw.doors.drain(0)
            assert gw.doors.gateway.busy() == 1
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            while await client.chunk():
                pass
        await client.__aexit__(None, None, None)
        held.may_end.set()
    assert [attempt.end for attempt in gw.attempts] == ["aborted"]


async def test_a_bug_that_shows_when_the_client_has_gone_leaves_a_record_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ModelOperation, "recorded", broken)
    held = Held()
    async with Scripted(held) as model, asyncio.timeout(20):
        async with serve(tmp_path, upstreams={"m": {"base_url": model.origin}}) as gw:
            async with await Client.of(gw) as client:
                await client.send("/s/s1/m/v1/chat/completions", ASK)
                assert await client.head()
            await gw.doors.gateway.quiet("s1")
        held.may_end.set()
    assert [(attempt.end, attempt.reply) for attempt in gw.attempts] == [("refused", ())]
    assert [note.code for note in gw.attempts[0].verdicts] == ["policy_failed"]


async def test_a_session_is_quiet_when_its_last_exchange_has_ended() -> None:
    under_way = UnderWay()
    await under_way.quiet("a")
    await under_way.idle(0)
    for session in ("a", "a", "b"):
        under_way.begins(session)
    quiet, idle = asyncio.ensure_future(under_way.quiet("a")), asyncio.ensure_future(under_way.idle(20))
    under_way.ends("a")
    await asyncio.sleep(0)
    assert (under_way.total, quiet.done()) == (2, False)
    under_way.ends("a")
    await quiet
    assert not idle.done()
    under_way.ends("b")
    await idle
    assert under_way.total == 0
