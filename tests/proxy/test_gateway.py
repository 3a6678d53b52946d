"""The gateway on real sockets: what a client sees byte by byte, and what is written down of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.driving import DONE, asking, completion, event
from tests.support.gateway import joined, serve
from tests.support.gateway_client import CHAT, STREAM, Client, exchanged, recorded, upstreams
from tests.support.scripted import STREAM_HEAD, Asked, Scripted, answering, piece, whole


@pytest.mark.parametrize("size", [0, 10, 70_000, 300_000])
async def test_whole_replies_and_requests_pass_byte_for_byte(tmp_path: Path, size: int) -> None:
    reply = completion("x" * size).replace(b", ", b" ,\t")
    body = asking("y" * size).replace(b", ", b" ,\r\n")
    async with (
        Scripted(answering(whole(reply, "application/json; x=1", "200 OK", "X-Kept: yes"))) as model,
        serve(tmp_path, **upstreams(model)) as served,
    ):
        status, headers, got = await exchanged(
            served, f"/s/s1/m{CHAT}?a=%2F&a=", body, Authorization="Bearer k", X_Ironcage_Task="T", Te="trailers",
            Connection="X-Private, keep-alive", X_Private="1", Accept_Encoding="gzip", X_Other="kept",
        )  # fmt: skip
        attempt = await recorded(served)
    assert (status, got, headers["x-kept"], headers["content-type"]) == (200, reply, "yes", "application/json; x=1")
    assert headers["x-ironcage-trajectory"] == "s1"
    (asked,) = model.seen
    assert (asked.method, asked.target, asked.body) == ("POST", f"{CHAT}?a=%2F&a=", body)
    assert asked.header("authorization") == "Bearer k" and asked.header("x-other") == "kept"
    assert asked.header("accept-encoding") == "identity"
    assert not [k for k, _ in asked.headers if k.lower().startswith("x-ironcage") or k.lower() in ("x-private", "te")]
    assert joined(attempt.request) == body and joined(attempt.reply) == reply
    assert "Bearer k" not in repr(attempt) and attempt.task == "T"


async def test_a_stream_arrives_part_by_part_as_the_upstream_sends_it(tmp_path: Path) -> None:
    go_on = asyncio.Queue[None]()
    parts = [event({"content": "one"}), event({"content": "two"}), event({}, "stop")]

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for part in parts:
            writer.write(piece(part))
            await writer.drain()
            await go_on.get()
        writer.write(piece(DONE) + piece(b""))
        await writer.drain()

    async with Scripted(script) as model, serve(tmp_path, **upstreams(model)) as served:
        async with await Client.of(served) as client:
            await client.send(f"/s/s1/m{CHAT}", asking(stream=True))
            assert (await client.head())[0] == 200
            for part in parts:
                assert await client.chunk() == part  # the next one is sent only once this one is here
                go_on.put_nowait(None)
            assert await client.chunk() == DONE
            assert await client.chunk() == b""
        attempt = await recorded(served)
    assert joined(attempt.reply) == b"".join(parts) + DONE and attempt.client_reply is None
    assert (attempt.end, attempt.streamed) == ("complete", True)


async def test_the_record_is_there_before_the_last_byte_is(tmp_path: Path) -> None:
    async with (
        Scripted(answering(STREAM_HEAD + piece(STREAM) + piece(b""))) as model,
        serve(tmp_path, **upstreams(model)) as served,
        await Client.of(served) as client,
    ):
        await client.send(f"/s/s1/m{CHAT}", asking(stream=True))
        await client.head()
        got = b""
        while DONE not in got:
            got += await client.chunk()
        assert [a.end for a in served.attempts] == ["complete"]


async def test_a_client_that_leaves_stops_the_upstream_and_is_recorded_as_gone(tmp_path: Path) -> None:
    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + piece(event({"content": "endless"})))
        await writer.drain()
        await model.gone.wait()

    async with Scripted(script) as model, serve(tmp_path, **upstreams(model)) as served:
        async with await Client.of(served) as client:
            await client.send(f"/s/s1/m{CHAT}", asking(stream=True))
            await client.head()
            await client.chunk()
            client.leave()
            await model.gone.wait()
        attempt = await recorded(served)
    assert attempt.end == "aborted" and b"endless" in joined(attempt.reply)


async def test_a_client_that_leaves_while_the_upstream_thinks_stops_it(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await model.gone.wait()

    async with Scripted(script) as model, serve(tmp_path, **upstreams(model)) as served:
        async with await Client.of(served) as client:
            await client.send(f"/s/s1/m{CHAT}", asking())
            await asked.wait()
            client.leave()
            await model.gone.wait()
        assert (await recorded(served)).end == "aborted"


async def test_a_client_that_leaves_right_after_the_terminator_had_it_all(tmp_path: Path) -> None:
    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + piece(STREAM))
        await writer.drain()
        await model.gone.wait()  # the end of the body never comes

    async with Scripted(script) as model, serve(tmp_path, **upstreams(model)) as served:
        async with await Client.of(served) as client:
            await client.send(f"/s/s1/m{CHAT}", asking(stream=True))
            await client.head()
            got = b""
            while DONE not in got:
                got += await client.chunk()
            client.leave()
            await model.gone.wait()
        assert (await recorded(served)).end == "complete"


async def test_a_client_that_reads_nothing_and_leaves_is_recorded_all_the_same(tmp_path: Path) -> None:
    """The write to the client fails at the very part that ends the reply: the attempt must not be lost."""
    long = event({"content": "x" * 4_000_000}) + event({}, "stop") + DONE

    async with (
        Scripted(answering(STREAM_HEAD + piece(long) + piece(b""))) as model,
        serve(tmp_path, **upstreams(model)) as served,
    ):
        async with await Client.of(served) as client:
            await client.send(f"/s/s1/m{CHAT}", asking(stream=True))
            await client.head()
            client.leave()
        attempt = await recorded(served)
    assert attempt.end in ("complete", "aborted")
