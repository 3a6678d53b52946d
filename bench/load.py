"""Load on loopback: closed-loop requests and streams over raw sockets, and the CPU that a process tree spent."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_TIME = re.compile(rb"t=(\d+) ")
_PROSE = (
    "The agent reads the file and calls the tool again. It waits for the output, compares what came back with what "
    "it had expected, and writes down the difference before it goes on to the next step of the task. "
)


def conversation(size: int, model: str = "bench") -> tuple[bytes, bytes]:
    """A chat body of about `size` bytes in two halves: a new last message goes between them."""
    tools = [
        {"type": "function", "function": {"name": f"tool_{i}", "description": _PROSE[:80], "parameters": {
            "type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}}
        for i in range(2)
    ]  # fmt: skip
    messages: list[dict[str, str]] = [{"role": "system", "content": _PROSE * 2}]
    turn = 0
    while len(json.dumps(messages)) < size - 900:
        role = "assistant" if turn % 2 else "user"
        messages.append({"role": role, "content": f"Turn {turn}. " + _PROSE * (1 if size < 10_000 else 8)})
        turn += 1
    body = json.dumps(
        {"model": model, "messages": [*messages, {"role": "user", "content": "\0"}], "tools": tools,
         **({"stream": True} if "-n" in model else {})}, separators=(",", ":"),
    )  # fmt: skip
    before, after = body.split("\\u0000")
    return before.encode(), after.encode()


def last_message(client: int, number: int) -> bytes:
    """About 200 characters that no earlier request held."""
    return f"Step {number} of client {client}: the tool said ok after {number % 97} lines. {_PROSE[:140]}".encode()


def request(path: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer none\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@dataclass
class Load:
    """What one measurement saw: latencies in seconds, and how many requests or chunks there were."""

    latencies_s: list[float] = field(default_factory=list)
    first_byte_s: list[float] = field(default_factory=list)
    chunk_delay_s: list[float] = field(default_factory=list)
    requests: int = 0
    chunks: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    resident_mb: float = 0.0


async def closed_loop(port: int, path: str, size: int, *, clients: int, count: int, offset: int) -> Load:
    """`clients` connections, each sending its next request when it has its reply; `count` requests in all."""
    load = Load()
    before, after = conversation(size)

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        for turn in range(count // clients):
            body = before + last_message(number, offset + turn) + after
            began = time.perf_counter()
            writer.write(request(path.format(session=f"bench-{number}"), body))
            await read_whole(reader)
            load.latencies_s.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(n) for n in range(clients)))
    load.wall_s = time.perf_counter() - began
    load.requests = len(load.latencies_s)
    return load


async def read_whole(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"not a 200: {head!r} {await reader.read(500)!r}")
    match = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    assert match is not None
    return await reader.readexactly(int(match[1]))


async def streams(port: int, path: str, *, count: int, chunks: int, interval_ms: int, offset: int) -> Load:
    """`count` streams at once, each of `chunks` events."""
    load = Load()
    before, after = conversation(2_000, f"bench-n{chunks}-i{interval_ms}")

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        body = before + last_message(number, offset) + after
        began = time.perf_counter()
        writer.write(request(path.format(session=f"bench-stream-{number}"), body))
        await reader.readuntil(b"\r\n\r\n")
        first, tail = True, b""
        while b"data: [DONE]" not in tail:
            data = await reader.read(1 << 16)
            now_ns = time.monotonic_ns()
            if not data:
                raise RuntimeError("the stream was cut")
            if first:
                load.first_byte_s.append(time.perf_counter() - began)
                first = False
            for match in _TIME.finditer(data):
                load.chunk_delay_s.append((now_ns - int(match[1])) / 1e9)
                load.chunks += 1
            tail = (tail + data)[-64:]
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(n) for n in range(count)))
    load.wall_s = time.perf_counter() - began
    load.requests = count
    return load


async def stream_window(port: int, path: str, pid: int | None, *, count: int, chunks: int, interval_ms: int) -> Load:
    """Like `streams`, but CPU, memory and chunks are counted only while all streams flow: no request is in them."""
    load = Load()
    before, after = conversation(2_000, f"bench-n{chunks}-i{interval_ms}")
    flowing = asyncio.Event()
    over = asyncio.Event()
    begun = 0

    async def one(number: int) -> None:
        nonlocal begun
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        body = before + last_message(number, time.monotonic_ns() % 1_000_000) + after
        writer.write(request(path.format(session=f"bench-window-{number}"), body))
        await reader.readuntil(b"\r\n\r\n")
        begun += 1
        if begun == count:
            flowing.set()
        tail = b""
        while b"data: [DONE]" not in tail:
            data = await reader.read(1 << 16)
            if not data:
                raise RuntimeError("the stream was cut")
            if b'"finish_reason": "stop"' in data:
                over.set()
            if flowing.is_set() and not over.is_set():
                now_ns = time.monotonic_ns()
                for match in _TIME.finditer(data):
                    load.chunk_delay_s.append((now_ns - int(match[1])) / 1e9)
                    load.chunks += 1
            tail = (tail + data)[-64:]
        writer.close()

    async def watch() -> None:
        await flowing.wait()
        spent = cpu_s(pid) if pid is not None else 0.0
        await over.wait()
        load.cpu_s = (cpu_s(pid) if pid is not None else 0.0) - spent
        load.resident_mb = resident_mb(pid) if pid is not None else 0.0

    await asyncio.gather(watch(), *(one(n) for n in range(count)))
    return load


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """User and system time of a process tree, all threads, in nanosecond steps where the kernel offers them."""
    total = 0
    for process in tree(pid):
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (OSError, ValueError):
                continue
    return total / 1e9


def resident_mb(pid: int) -> float:
    return sum(process.memory_info().rss for process in tree(pid)) / (1024 * 1024)
