"""The gateway on real sockets: what a client sees byte by byte, and what is written down of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.driving import DONE, asking, completion, event
from tests.support.gateway import joined, serve
from tests.support.gateway_client import CHAT, Client, exchanged, recorded, upstreams
from tests.support.scripted import STREAM_HEAD, Asked, Scripted, answering, piece, whole
from trajectory.errors import OperatorError


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
        assert [(a.end, a.status, a.verdicts[0].code) for a in served.attempts] == [
            ("refused", 413, "unreadable_body")
        ] * 2
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
        assert headers["upgrade"] == "HTTP/1.1"
        (attempt,) = served.attempts
        assert (attempt.end, attempt.status, attempt.path) == ("refused", 426, "/m/v1/responses")


async def test_with_an_access_token_nobody_passes_without_it(tmp_path: Path) -> None:
    async with (
        Scripted(answering(whole(completion()))) as model,
        serve(tmp_path, **upstreams(model), access_token="sesame") as served,
    ):
        for wrong in ({}, {"X_Ironcage_Token": "sesam"}, {"X_Ironcage_Token": "\x80\xff"}):
            assert (await exchanged(served, f"/m{CHAT}", asking(), **wrong))[0] == 401
        assert model.seen == [] and served.attempts == []
        assert served.doors.gateway.admission.counts == {"no_token": 3}
        assert (await exchanged(served, f"/m{CHAT}", asking(), X_Ironcage_Token="sesame"))[0] == 200
    assert "sesame" not in repr(model.seen)


@pytest.mark.parametrize("name", ["Authorization", "X_Api_Key", "X_Goog_Api_Key", "Api_Key"])
async def test_the_access_token_may_come_as_the_api_key_and_goes_no_further(tmp_path: Path, name: str) -> None:
    """Most SDKs can be given a base URL and a key, and no header."""
    shown = "Bearer sesame" if name == "Authorization" else "sesame"
    async with (
        Scripted(answering(whole(completion()))) as model,
        serve(tmp_path, **upstreams(model), access_token="sesame") as served,
    ):
        for wrong in ("sesam", "Bearer", "Basic sesame", "Bearer Bearer sesame"):
            assert (await exchanged(served, f"/m{CHAT}", asking(), **{name: wrong}))[0] == 401
        assert (await exchanged(served, f"/m{CHAT}", asking(), **{name: shown}))[0] == 200
        keyed = {"Authorization": "Bearer real", "X_Ironcage_Token": "sesame"}
        assert (await exchanged(served, f"/m{CHAT}", asking(), **keyed))[0] == 200
        assert "sesame" not in repr(served.attempts)
    assert "sesame" not in repr(model.seen) and model.seen[1].header("authorization") == "Bearer real"


@pytest.mark.parametrize(
    "marks",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8800", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
async def test_a_web_page_cannot_spend_the_keys_of_a_proxy_on_loopback(tmp_path: Path, marks: dict[str, str]) -> None:
    """A browser connects to loopback for any page, also under the page's own name (DNS rebinding)."""
    async with Scripted(answering(whole(completion()))) as model, serve(tmp_path, **upstreams(model)) as served:
        assert (await exchanged(served, f"/m{CHAT}", asking(), **marks))[0] == 403
        assert served.doors.gateway.admission.counts == {"of_a_page": 1} and served.attempts == []
        harmless = {"Origin": "vscode-file://vscode-app", "Sec_Fetch_Mode": "cors"}
        assert (await exchanged(served, f"/m{CHAT}", asking(), **harmless))[0] == 200
    assert len(model.seen) == 1


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


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_whole_reply_above_the_bound_is_not_collected(tmp_path: Path, chunked: bool) -> None:
    reply = completion("x" * 4000)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    body = b"Transfer-Encoding: chunked\r\n\r\n" + piece(reply[:2000]) + piece(reply[2000:]) + piece(b"")
    sent = head + body if chunked else whole(reply)
    async with (
        Scripted(answering(sent)) as model,
        serve(tmp_path, **upstreams(model), max_body_bytes=3000) as served,
    ):
        status, _, told = await exchanged(served, f"/s/s1/m{CHAT}", asking("y"))
        attempt = await recorded(served)
    assert (status, b"larger than 3000 bytes" in told) == (502, True)
    assert attempt.end == "failed"
    assert len(joined(attempt.reply)) < len(reply)
