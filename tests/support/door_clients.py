"""What the tests in tests/proxy/intercept/test_door.py and test_door_refusals.py share."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx2


def client(door: Any, **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(proxy=door.url, verify=door.trusting(), timeout=10, **options)


def basic(text: str) -> bytes:
    return base64.b64encode(text.encode())


async def raw(door: Any, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(data)
    return reader, writer


async def tunnel(door: Any, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await raw(door, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the door closes; a reset is a close."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""


# Real clients that know only the proxy variables
