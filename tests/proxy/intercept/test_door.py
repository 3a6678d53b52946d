from __future__ import annotations

import asyncio
import os
import random
import shutil
import urllib.request
from typing import Any

import httpx2
import openai
import pytest

from tests.support.door_clients import client


async def test_openai_sdk_with_proxy_variables_reaches_only_the_gateway(
    door: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", door.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("SSL_CERT_FILE", str(door.bundle))
    async with openai.AsyncOpenAI(api_key="sk-x", max_retries=0) as sdk:
        answer = await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "hi there"
    headers = gateway.headers()
    assert headers["x-ironcage-target"] == "https://api.openai.com:443"
    assert headers["x-ironcage-session"] == "RUN-42"
    assert headers["x-ironcage-hop"] == "hop-secret"
    assert headers["host"] == "api.openai.com"
    assert "proxy-authorization" not in headers


async def test_urllib_over_http_and_https(door: Any, gateway: Any, origin: Any) -> None:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": door.url, "https": door.url}),
        urllib.request.HTTPSHandler(context=door.trusting()),
    )

    def fetch(url: str) -> bytes:
        with opener.open(url, timeout=10) as reply:
            return bytes(reply.read())

    for scheme in ("http", "https"):
        target = f"{scheme}://127.0.0.1:{origin.port}"
        assert await asyncio.to_thread(fetch, f"{target}/a%2Fb?q=1%20y&q=") == b"hello"
        assert gateway.seen[-1][:2] == ("GET", "/a%2Fb?q=1%20y&q=")
        assert gateway.headers()["x-ironcage-target"] == target
        assert gateway.headers()["x-ironcage-session"] == "RUN-42"


async def run(*command: str, **environ: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_with_proxy_variables(door: Any, gateway: Any, origin: Any) -> None:
    variables = {"http_proxy": door.url, "https_proxy": door.url, "no_proxy": "", "CURL_CA_BUNDLE": str(door.ca)}
    for scheme in ("http", "https"):
        url = f"{scheme}://127.0.0.1:{origin.port}/upper"
        assert await run("curl", "-sS", "-m", "10", "-d", "sent", url, **variables) == "sent"
        assert gateway.headers()["x-ironcage-target"] == f"{scheme}://127.0.0.1:{origin.port}"


NODE_PLAIN_HTTP_IN_A_TUNNEL = """
const http = require('http');
const [proxy, host] = process.argv.slice(1);
const connect = http.request({port: proxy, method: 'CONNECT', path: host,
    headers: {'Proxy-Authorization': 'Basic ' + Buffer.from('NODE-1:x').toString('base64')}});
connect.on('connect', (_reply, socket) => {
  http.get({createConnection: () => socket, headers: {host}, path: '/node'}, reply => {
    reply.on('data', data => process.stdout.write(data));
    reply.on('end', () => { process.stdout.write(' ' + reply.statusCode); process.exit(0); });
  });
});
connect.end();
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
async def test_node_speaks_plain_http_in_a_tunnel(door: Any, gateway: Any, origin: Any) -> None:
    output = await run("node", "-e", NODE_PLAIN_HTTP_IN_A_TUNNEL, str(door.port), f"127.0.0.1:{origin.port}")
    assert output == "hello 200"
    assert gateway.headers()["x-ironcage-target"] == f"http://127.0.0.1:{origin.port}"
    assert gateway.headers()["x-ironcage-session"] == "NODE-1"


# Bytes, both ways, as they come


async def test_body_arrives_and_returns_byte_for_byte(door: Any, gateway: Any, origin: Any) -> None:
    body = random.Random(7).randbytes(3_000_000)
    async with client(door) as http:
        for scheme in ("http", "https"):
            reply = await http.post(f"{scheme}://127.0.0.1:{origin.port}/echo", content=body)
            assert gateway.seen[-1][3] == body
            assert reply.content == body
            assert reply.headers["X-Kept-As-Is"] == "yes"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_streamed_reply_arrives_part_by_part(door: Any, gateway: Any, origin: Any, scheme: str) -> None:
    async with (
        client(door) as http,
        http.stream("GET", f"{scheme}://127.0.0.1:{origin.port}/stream") as reply,
    ):
        parts = reply.aiter_raw()
        assert await anext(parts) == b"data: one\n\n"
        gateway.go_on.set()  # only now may the gateway send the rest
        assert [part async for part in parts] == [b"data: two\n\n"]


async def test_streamed_request_arrives_part_by_part(door: Any, gateway: Any, origin: Any) -> None:
    async def parts() -> Any:
        yield b"first"
        await gateway.first_part.wait()  # the gateway has the first part while this one is not sent yet
        yield b"second"

    async with client(door) as http:
        reply = await http.post(f"https://127.0.0.1:{origin.port}/upload", content=parts())
    assert reply.text == "11"
    assert gateway.seen[-1][3] == b"firstsecond"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_reply_that_the_gateway_cuts_is_cut_for_the_client(
    door: Any, gateway: Any, origin: Any, scheme: str
) -> None:
    async with (
        client(door) as http,
        http.stream("GET", f"{scheme}://127.0.0.1:{origin.port}/cut") as reply,
    ):
        parts = reply.aiter_raw()
        assert await anext(parts) == b"begun"
        gateway.go_on.set()
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(parts)


async def test_client_that_leaves_cancels_the_gateways_work(door: Any, gateway: Any, origin: Any) -> None:
    async with client(door) as http:
        async with http.stream("GET", f"https://127.0.0.1:{origin.port}/endless") as reply:
            assert await anext(reply.aiter_raw()) == b"begun"
        await asyncio.wait_for(gateway.cancelled.wait(), 10)


async def test_connection_is_kept_for_several_requests(door: Any, gateway: Any, origin: Any) -> None:
    async with client(door, limits=httpx2.Limits(max_connections=1)) as http:
        for _ in range(3):
            assert (await http.get(f"https://127.0.0.1:{origin.port}/")).text == "hello"
    assert [seen[0] for seen in gateway.seen] == ["GET"] * 3
    assert {gateway.headers(i)["x-ironcage-session"] for i in range(3)} == {"RUN-42"}


# Attacks and mistakes
