"""Bytes that two HTTP readers cut into different requests, and names that two resolvers lead to different places."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.driving import asking, completion
from tests.support.gateway import Served, serve
from tests.support.scripted import Scripted, answering, whole

CHAT = "/v1/chat/completions"
BODY = asking()
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
HIDDEN = b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

# Header lines and what follows them. Of each at most the judged request may arrive, and nothing behind it.
UNCLEAR = [
    (f"Content-Length: {len(CHUNKED + HIDDEN)}\r\nTransfer-Encoding: chunked", CHUNKED + HIDDEN),
    ("Content-Length: 4\r\nTransfer-Encoding: chunked", CHUNKED + HIDDEN),
    (f"{LENGTH}\r\nContent-Length: {len(BODY + HIDDEN)}", BODY + HIDDEN),
    (f"{LENGTH}, {len(BODY)}", BODY),
    (f"Content-Length: +{len(BODY)}", BODY + HIDDEN),
    (f"Content-Length : {len(BODY)}", BODY + HIDDEN),
    (f"{LENGTH}\r\nTransfer-Encoding : chunked", BODY),
    (f"{LENGTH}\r\nTransfer-Encoding: \x0bchunked", BODY),
    (f"{LENGTH}\r\nTransfer-Encoding:\r\n chunked", CHUNKED),
    ("Transfer-Encoding: chunked, identity", CHUNKED),
    (f"X: a\rTransfer-Encoding: chunked\r\n{LENGTH}", BODY),
    ("Transfer-Encoding: chunked", CHUNKED.replace(b"\r\n", b";a\nb\r\n", 1)),
    ("Transfer-Encoding: chunked", b"0x" + CHUNKED),
    (f"X: a\0b\r\n{LENGTH}", BODY),
    (f"Host: other.example\r\n{LENGTH}", BODY),
]
ELSEWHERE = [
    "/v1/%2e%2e/admin/chat/completions",
    "/..;/v1/chat/completions",
    "/v1/chat/completions;x",
    "/v1/chat/completions/",
    "/v1/files?/chat/completions",
    "/v1/files#/chat/completions",
    "/v1/files%00/chat/completions",
    "/v1\\..\\chat/completions",
]
NEAR = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "2130706433",
    "0x7f.1",
    "127.1",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
    "[::]",
]


@pytest.fixture
async def model() -> AsyncIterator[Scripted]:
    async with Scripted(answering(whole(completion()))) as model:
        yield model


@pytest.fixture
async def house(tmp_path: Path, model: Scripted) -> AsyncIterator[Served]:
    anywhere = {"egress": {"hosts": ["*"]}}
    places = {"m": {"base_url": model.origin}}
    async with serve(tmp_path, upstreams=places, policies=anywhere, forward_listen="127.0.0.1:0") as served:
        yield served


async def status(url: str, request: bytes) -> bytes:
    """Of the first answer; empty where the connection was closed without one."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(request)
    line = await reader.readline()
    writer.close()
    return line[9:12]


@pytest.mark.parametrize("door", ["base_url", "proxy"])
async def test_nothing_arrives_that_was_hidden_in_another_request(house: Served, model: Scripted, door: str) -> None:
    url, prefix = (house.url("m"), "/m") if door == "base_url" else (str(house.doors.proxy_url), model.origin)
    for headers, rest in UNCLEAR:
        head = f"POST {prefix}{CHAT} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode()
        assert await status(url, head + rest) in (b"400", b""), headers
    assert model.seen == [] and house.attempts == []


@pytest.mark.parametrize("door", ["base_url", "proxy"])
async def test_no_path_is_read_as_another_one(house: Served, model: Scripted, door: str) -> None:
    url, prefix = (house.url("m"), "/m") if door == "base_url" else (str(house.doors.proxy_url), model.origin)
    for path in ELSEWHERE:
        head = f"POST {prefix}{path} HTTP/1.1\r\nHost: x\r\n{LENGTH}\r\n\r\n".encode()
        assert await status(url, head + BODY) == b"400", path
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "post"):
        head = f"{method} {prefix}{CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        assert await status(url, head) == b"400", method
    assert model.seen == []


async def test_where_any_host_may_be_reached_no_spelling_of_this_machine_may(house: Served, model: Scripted) -> None:
    async with Scripted(answering(whole(b"the console"))) as console:
        port = urlsplit(console.origin).port
        for host in NEAR:
            asked = f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
            assert await status(str(house.doors.proxy_url), asked) == b"400", host
        assert console.seen == [] and model.seen == []
