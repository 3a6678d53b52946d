"""The gateway on real sockets: what a client sees byte by byte, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.driving import DONE, asking, completion, event
from tests.support.gateway import Served, joined, serve
from tests.support.scripted import STREAM_HEAD, Asked, Scripted, answering, piece, whole
from trajectory.errors import OperatorError
from trajectory.record import Attempt

STREAM = event({"role": "assistant", "content": "hel"}) + event({"content": "lo"}) + event({}, "stop") + DONE
CHAT = "/v1/chat/completions"


def upstreams(model: Scripted, **more: Any) -> dict[str, Any]:
    return {"upstreams": {"m": {"base_url": model.origin, **more}, "t": {"base_url": model.origin, "kind": "tool"}}}


class Client:
    """One raw connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, served: Served) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", served.doors.port))

    async def send(self, path: str, body: bytes = b"", method: str = "POST", **headers: str) -> None:
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        lines = "".join(f"{k}: {v}\r\n" for k, v in {"Host": "x", "Content-Length": str(len(body)), **names}.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v for k, _, v in (x.partition(": ") for x in lines[1:] if x)}

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while part := await self.chunk():
                parts.append(part)
            return b"".join(parts)
        return await self.reader.readexactly(int(headers.get("content-length", "0")))

    def leave(self) -> None:
        self.writer.transport.abort()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()


async def exchanged(
    served: Served, path: str, body: bytes = b"", method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    async with await Client.of(served) as client:
        await client.send(path, body, method, **headers)
        status, answered = await client.head()
        return status, answered, await client.rest(answered)


async def recorded(served: Served) -> Attempt:
    """The one attempt, once nothing is under way."""
    await served.doors.gateway.quiet("s1")
    (attempt,) = served.attempts
    return attempt


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


@pytest.mark.parametrize("path", [f"/s/s1/m{CHAT}", "/s/s1/t/find"])
@pytest.mark.parametrize(
    ("reply", "status", "error", "end"),
    [
        (b"", 502, "reset", "failed"),
        (b"HTTP/1.1 200 OK\r\nContent-", 502, "reset", "failed"),
        (b"no http at all\r\n\r\n", 502, "reset", "failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{", 502, "reset", "failed"),
    ],
)
async def test_an_upstream_that_breaks_before_its_reply_is_whole_is_a_native_error(
    tmp_path: Path, path: str, reply: bytes, status: int, error: str, end: str
) -> None:
    async with Scripted(answering(reply)) as model, serve(tmp_path, **upstreams(model)) as served:
        got, headers, body = await exchanged(served, path, asking())
        attempt = await recorded(served)
    assert (got, attempt.end, (attempt.error or "").partition(":")[0]) == (status, end, error)
    assert json.loads(body)["error"]["code"] == f"upstream_{error}"
    assert "x-should-retry" not in headers


async def test_an_upstream_that_refuses_the_connection_or_stays_silent_is_a_native_error(tmp_path: Path) -> None:
    async def silent(_: Asked, writer: asyncio.StreamWriter) -> None:
        await model.gone.wait()

    async with Scripted(silent) as model:
        settings = {"upstreams": {
            "m": {"base_url": model.origin, "idle_timeout_s": 0.05}, "n": {"base_url": "http://127.0.0.1:1"},
        }}  # fmt: skip
        async with serve(tmp_path, **settings) as served:
            timed_out = await exchanged(served, f"/s/s1/m{CHAT}", asking())
            unreachable = await exchanged(served, f"/s/s1/n{CHAT}", asking())
    assert [one[0] for one in (timed_out, unreachable)] == [504, 502]
    assert [json.loads(one[2])["error"]["code"] for one in (timed_out, unreachable)] == [
        "upstream_timeout", "upstream_unreachable",
    ]  # fmt: skip


async def test_a_stream_that_is_reset_ends_with_an_error_event_and_never_by_a_silent_cut(tmp_path: Path) -> None:
    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + piece(event({"content": "half"})))
        await writer.drain()
        writer.transport.abort()

    async with Scripted(script) as model, serve(tmp_path, **upstreams(model)) as served:
        status, _, body = await exchanged(served, f"/s/s1/m{CHAT}", asking(stream=True))
        attempt = await recorded(served)
    assert status == 200 and body.startswith(event({"content": "half"}))
    assert json.loads(body.split(b"\n\n")[1][6:])["error"]["code"] == "upstream_reset"
    assert attempt.end == "cut"


async def test_a_tools_reply_that_is_cut_is_cut_for_the_client_too(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with Scripted(answering(head + piece(b"half"))) as model, serve(tmp_path, **upstreams(model)) as served:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await exchanged(served, "/s/s1/t/find", method="GET")
        assert (await recorded(served)).end == "cut"


async def test_a_length_announced_for_a_stream_does_not_outlive_an_edit(tmp_path: Path) -> None:
    call = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "bad", "arguments": "{}"}}]}
    stream = event(call) + event({}, "tool_calls") + DONE
    async with (
        Scripted(answering(whole(stream, "text/event-stream"))) as model,
        serve(tmp_path, **upstreams(model), constraints={"allowed_tools": ["ok"]}) as served,
    ):
        _, headers, body = await exchanged(served, f"/s/s1/m{CHAT}", asking(stream=True))
    assert "content-length" not in headers
    assert b"allowlist" in body and body.endswith(DONE)


async def test_a_body_that_is_too_large_is_answered_413_with_and_without_its_length(tmp_path: Path) -> None:
    async with (
        Scripted(answering(whole(completion()))) as model,
        serve(tmp_path, **upstreams(model), max_body_bytes=1000) as served,
    ):
        status, headers, _ = await exchanged(served, f"/m{CHAT}", b"x" * 1001)
        assert (status, headers["x-ironcage-refusal"]) == (413, "unreadable_body")
        async with await Client.of(served) as client:
            client.writer.write(f"POST /m{CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            client.writer.write(piece(b"x" * 600) * 2 + piece(b""))
            assert (await client.head())[0] == 413
    assert model.seen == []


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(tmp_path: Path) -> None:
    async with (
        Scripted(answering(whole(completion()))) as model,
        serve(tmp_path, **upstreams(model)) as served,
        await Client.of(served) as client,
    ):
        body = asking()
        head = f"POST /m{CHAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        client.writer.write(head.encode())
        assert (await client.head())[0] == 100
        client.writer.write(body)
        assert (await client.head())[0] == 200
    assert model.seen[0].body == body and model.seen[0].header("expect") is None


async def test_an_upgrade_to_websockets_is_answered_426(tmp_path: Path) -> None:
    async with Scripted(answering(b"")) as model, serve(tmp_path, **upstreams(model)) as served:
        status, headers, _ = await exchanged(
            served, "/m/v1/responses", method="GET", Upgrade="websocket", Connection="Upgrade"
        )
    assert (status, headers["x-ironcage-refusal"]) == (426, "route_refused")


async def test_with_an_access_token_nobody_passes_without_it(tmp_path: Path) -> None:
    async with (
        Scripted(answering(whole(completion()))) as model,
        serve(tmp_path, **upstreams(model), access_token="sesame") as served,
    ):
        for wrong in ({}, {"X_Ironcage_Token": "sesam"}, {"X_Ironcage_Token": "\x80\xff"}):
            assert (await exchanged(served, f"/m{CHAT}", asking(), **wrong))[0] == 401
        assert model.seen == []
        assert (await exchanged(served, f"/m{CHAT}", asking(), X_Ironcage_Token="sesame"))[0] == 200
    assert "sesame" not in repr(model.seen)


async def test_it_does_not_listen_off_loopback_without_a_token(tmp_path: Path) -> None:
    async with Scripted(answering(b"")) as model:
        with pytest.raises(OperatorError, match="keys"):
            async with serve(tmp_path, **upstreams(model), listen="0.0.0.0:0"):
                pass


@pytest.mark.parametrize("name", ["X_Ironcage_Session", "X_Ironcage_Task", "X_Ironcage_Agent"])
async def test_a_name_that_is_none_is_the_clients_error(tmp_path: Path, name: str) -> None:
    async with Scripted(answering(b"")) as model, serve(tmp_path, **upstreams(model)) as served:
        status, _, body = await exchanged(served, f"/m{CHAT}", asking(), **{name: "../x"})
    assert status == 400 and b"not a valid name" in body and model.seen == []


async def test_long_headers_pass(tmp_path: Path) -> None:
    async with (
        Scripted(answering(whole(completion(), "application/json", "200 OK", "X-Long: " + "r" * 20_000))) as model,
        serve(tmp_path, **upstreams(model)) as served,
    ):
        status, headers, _ = await exchanged(served, f"/m{CHAT}", asking(), Cookie="c" * 20_000)
    assert status == 200 and headers["x-long"] == "r" * 20_000
    assert model.seen[0].header("cookie") == "c" * 20_000


async def test_a_key_that_the_proxy_holds_takes_the_place_of_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "real-key")
    async with (
        Scripted(answering(whole(completion()))) as model,
        serve(tmp_path, **upstreams(model, api_key_env="THE_KEY")) as served,
    ):
        await exchanged(served, f"/s/s1/m{CHAT}", asking(), Authorization="Bearer fake", X_Api_Key="fake")
        attempt = await recorded(served)
    assert [v for k, v in model.seen[0].headers if k.lower() in ("authorization", "x-api-key")] == ["Bearer real-key"]
    assert "real-key" not in repr(attempt) and "fake" not in repr(attempt)


async def test_connections_are_kept_and_the_proxy_goes_on_after_every_failure(tmp_path: Path) -> None:
    async with Scripted(answering(whole(completion()))) as model, serve(tmp_path, **upstreams(model)) as served:
        async with await Client.of(served) as client:
            for body, expected in ((b"no json", 400), (asking(), 200), (b"", 400), (asking(), 200)):
                await client.send(f"/s/s1/m{CHAT}", body)
                status, headers = await client.head()
                assert status == expected
                await client.rest(headers)
        assert [a.end for a in served.attempts] == ["refused", "complete"] * 2


async def test_an_attempt_whose_last_judged_part_finds_the_client_gone_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails when the exchange has already moved on to its commit: what was asked for is still done."""
    write = web.StreamResponse.write

    async def failing(self: web.StreamResponse, data: bytes) -> None:
        if b"the end" in data:
            raise ConnectionResetError("the client's socket is closed")
        await write(self, data)

    monkeypatch.setattr(web.StreamResponse, "write", failing)
    stream = event({"content": "the end"}) + event({}, "stop") + DONE
    async with (
        Scripted(answering(STREAM_HEAD + piece(stream) + piece(b""))) as model,
        serve(tmp_path, **upstreams(model)) as served,
        await Client.of(served) as client,
    ):
        await client.send(f"/s/s1/m{CHAT}", asking(stream=True))
        await client.head()
        attempt = await recorded(served)
    assert joined(attempt.reply) == stream
