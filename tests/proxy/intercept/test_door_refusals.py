from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from pathlib import Path
from typing import Any

import httpx2
import pytest

from proxy.intercept.door import InterceptDoor
from tests.support.door_clients import basic, client, ended, raw, tunnel
from trajectory.errors import OperatorError


async def test_forged_hop_headers_are_replaced(door: Any, gateway: Any, origin: Any) -> None:
    forged = {"X-Ironcage-Hop": "guess", "X-IRONCAGE-TARGET": "https://allowed.example:443", "Connection": "close"}
    async with client(door, headers=forged) as http:
        await http.get(f"https://127.0.0.1:{origin.port}/")
        await http.get(f"http://127.0.0.1:{origin.port}/")
    for index, scheme in enumerate(("https", "http")):
        assert gateway.headers(index)["x-ironcage-hop"] == "hop-secret"
        assert gateway.headers(index)["x-ironcage-target"] == f"{scheme}://127.0.0.1:{origin.port}"


async def test_tunnel_cannot_carry_requests_for_another_host(door: Any, gateway: Any, origin: Any) -> None:
    async with client(door) as http:
        reply = await http.get(f"https://127.0.0.1:{origin.port}/", headers={"Host": "evil.example"})
    assert reply.status_code == 421
    assert reply.json()["error"]["code"] == "route_refused"
    assert gateway.seen == []


async def test_websocket_upgrade_is_answered_426(door: Any, gateway: Any, origin: Any) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    async with client(door) as http:
        for scheme in ("http", "https"):
            reply = await http.get(f"{scheme}://127.0.0.1:{origin.port}/v1/responses", headers=upgrade)
            assert reply.status_code == 426
            assert reply.headers["x-ironcage-refusal"] == "route_refused"
    assert gateway.seen == []


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x01binary", b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_tunnel_that_carries_something_else_is_closed(door: Any, gateway: Any, origin: Any, data: bytes) -> None:
    reader, writer = await tunnel(door, origin.port)
    writer.write(data)
    assert await ended(reader) == b""
    writer.close()
    assert gateway.seen == []


async def test_tls_that_carries_something_else_is_closed(door: Any, gateway: Any, origin: Any) -> None:
    reader, writer = await tunnel(door, origin.port)
    await writer.start_tls(door.trusting(), server_hostname="127.0.0.1")
    writer.write(b"\x00\x00\x00\x01binary")
    assert await ended(reader) == b""
    writer.close()
    assert gateway.seen == []


async def test_http_2_is_not_negotiated(door: Any, origin: Any) -> None:
    _, writer = await tunnel(door, origin.port)
    context = door.trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    await writer.start_tls(context, server_hostname="127.0.0.1")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.close()


async def test_request_to_the_door_itself_is_refused_and_cannot_loop(door: Any, gateway: Any) -> None:
    reader, writer = await raw(door, b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % door.port)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400")
    writer.close()
    assert gateway.seen == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", b"400"),
        (b"GET http://a/ HTTP/1.1\r\nx-ironcage-hop : forged\r\n\r\n", b"400"),
        (b"GET http://a/ HTTP/2.0\r\n\r\n", b"505"),
        (b"GET ftp://a/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET http://a/ HTTP/1.1\r\nX: " + b"a" * 200_000, b"431"),
        (b"nonsense of three words\r\n\r\n", b"400"),
    ],
)
async def test_malformed_head_is_refused(door: Any, gateway: Any, request_bytes: bytes, status: bytes) -> None:
    reader, writer = await raw(door, request_bytes)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.split(b" ")[1] == status
    writer.close()
    assert gateway.seen == []


async def test_protocol_error_inside_the_core_closes_the_connection(door: Any, origin: Any) -> None:
    trailers = b"POST http://127.0.0.1:%d/upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % origin.port
    reader, writer = await raw(door, trailers + b"1\r\nx\r\n0\r\nA-Trailer: y\r\n\r\n")
    assert await ended(reader) == b""
    writer.close()


async def test_refused_request_with_a_body_is_answered_after_it(door: Any, gateway: Any, origin: Any) -> None:
    async with client(door) as http:
        reply = await http.post(
            f"https://127.0.0.1:{origin.port}/", headers={"Host": "evil.example"}, content=b"x" * 5_000_000
        )
        assert reply.status_code == 421
        assert (await http.get(f"https://127.0.0.1:{origin.port}/")).text == "hello"  # the connection is still good
    assert len(gateway.seen) == 1


async def test_body_of_a_refused_request_is_not_kept(door: Any, origin: Any) -> None:
    async def parts() -> Any:
        part = bytes(65_536)
        for _ in range(400):
            yield part

    async with client(door) as http:
        tracemalloc.start()
        reply = await http.post(f"http://127.0.0.1:{origin.port}/", headers={"Upgrade": "websocket"}, content=parts())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert reply.status_code == 426
    assert peak < 10_000_000  # of 26 MB sent


# The session, and who may pass


async def test_session_of_the_connect_holds_for_the_tunnel_and_a_header_wins(
    door: Any, gateway: Any, origin: Any
) -> None:
    async with client(door) as http:
        await http.get(f"https://127.0.0.1:{origin.port}/", headers={"x-ironcage-session": "OWN"})
        await http.get(f"https://127.0.0.1:{origin.port}/", headers={"x-ironcage-task": "T-1"})
    assert gateway.headers(0)["x-ironcage-session"] == "OWN"
    assert gateway.headers(1)["x-ironcage-session"] == "RUN-42"
    assert gateway.headers(1)["x-ironcage-task"] == "T-1"


@pytest.mark.parametrize("first_line", [b"CONNECT a:443 HTTP/1.1", b"GET http://a/ HTTP/1.1"])
async def test_session_that_is_no_valid_name_is_refused(door: Any, gateway: Any, first_line: bytes) -> None:
    reader, writer = await raw(door, first_line + b"\r\nProxy-Authorization: Basic " + basic("../x:y") + b"\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    writer.close()
    assert gateway.seen == []


async def test_access_token_is_asked_of_tunnels_and_of_plain_requests(gateway: Any, confdir: Path, origin: Any) -> None:
    guarded = InterceptDoor()
    port = await guarded.start(
        "127.0.0.1",
        0,
        gateway_host="127.0.0.1",
        gateway_port=gateway.port,
        hop_secret="s",
        confdir=confdir,
        access_token="T0KEN",
    )
    trusting = ssl.create_default_context(cafile=str(confdir / "ca.pem"))
    async with httpx2.AsyncClient(proxy=f"http://RUN:T0KEN@127.0.0.1:{port}", verify=trusting) as http:
        assert (await http.get(f"https://127.0.0.1:{origin.port}/")).status_code == 200
        assert (await http.get(f"http://127.0.0.1:{origin.port}/")).status_code == 200
    async with httpx2.AsyncClient(proxy=f"http://RUN:wrong@127.0.0.1:{port}", verify=trusting) as http:
        assert (await http.get(f"http://127.0.0.1:{origin.port}/")).status_code == 407
        with pytest.raises(httpx2.ProxyError, match="407"):
            await http.get(f"https://127.0.0.1:{origin.port}/")
    assert len(gateway.seen) == 2
    await guarded.stop()


# Failures of the door itself


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_exception_in_the_door_is_a_502_and_nothing_passes(
    gateway: Any, confdir: Path, origin: Any, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("a bug")

    failing = InterceptDoor(hand=broken)
    port = await failing.start(
        "127.0.0.1", 0, gateway_host="127.0.0.1", gateway_port=gateway.port, hop_secret="s", confdir=confdir
    )
    trusting = ssl.create_default_context(cafile=str(confdir / "ca.pem"))
    async with httpx2.AsyncClient(proxy=f"http://127.0.0.1:{port}", verify=trusting) as http:
        reply = await http.post(f"{scheme}://127.0.0.1:{origin.port}/", content=b"x" * 100_000)
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "policy_failed"
    assert "a bug" not in reply.text
    assert gateway.seen == []
    assert "a bug" in caplog.text
    await failing.stop()


async def test_gateway_that_is_gone_is_a_502(confdir: Path, origin: Any) -> None:
    closed = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    gone = closed.sockets[0].getsockname()[1]
    closed.close()
    orphan = InterceptDoor()
    port = await orphan.start(
        "127.0.0.1", 0, gateway_host="127.0.0.1", gateway_port=gone, hop_secret="s", confdir=confdir
    )
    async with httpx2.AsyncClient(proxy=f"http://127.0.0.1:{port}") as http:
        reply = await http.get(f"http://127.0.0.1:{origin.port}/")
    assert reply.status_code == 502
    assert reply.json()["error"]["type"] == "ironcage_refusal"
    await orphan.stop()


async def test_port_in_use_is_the_operators_fault(door: Any, gateway: Any, confdir: Path) -> None:
    with pytest.raises(OperatorError, match=str(door.port)) as raised:
        await InterceptDoor().start(
            "127.0.0.1",
            door.port,
            gateway_host="127.0.0.1",
            gateway_port=gateway.port,
            hop_secret="s",
            confdir=confdir,
        )
    assert "forward_listen" in raised.value.hint


async def test_off_loopback_the_door_needs_an_access_token(gateway: Any, confdir: Path) -> None:
    with pytest.raises(OperatorError, match="anyone on the network"):
        await InterceptDoor().start(
            "0.0.0.0", 0, gateway_host="127.0.0.1", gateway_port=gateway.port, hop_secret="s", confdir=confdir
        )


async def test_stop_closes_open_streams_and_frees_the_port(gateway: Any, confdir: Path, origin: Any) -> None:
    opened = InterceptDoor()
    port = await opened.start(
        "127.0.0.1", 0, gateway_host="127.0.0.1", gateway_port=gateway.port, hop_secret="s", confdir=confdir
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET http://127.0.0.1:%d/endless HTTP/1.1\r\n\r\n" % origin.port)
    await reader.readuntil(b"begun")
    await opened.stop()
    await opened.stop()
    await ended(reader)
    writer.close()
    await asyncio.wait_for(gateway.cancelled.wait(), 10)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
