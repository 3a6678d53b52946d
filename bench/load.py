"""Load on loopback: closed-loop requests and streams over raw sockets, and the CPU that a process tree spent."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))
from speech import TEXT, Speech

_TIME = re.compile(rb"t=(\d+) ")


def last_message(client: int, number: int) -> bytes:
    """About 200 characters that no earlier request held."""
    return f"Step {number} of client {client}: the tool said ok after {number % 97} lines. {TEXT[:140]}".encode()


@dataclass(frozen=True)
class Conversation:
    """What one measurement asks, again and again with another last message; a `model` with "-n" makes it stream."""

    speech: Speech
    prefix: str
    """What stands before the format's name in a path; `{session}` in it is the number of the client."""
    halves: tuple[bytes, bytes]
    model: str = "bench"

    @classmethod
    def of(cls, speech: Speech, prefix: str, size: int, model: str = "bench") -> Conversation:
        return cls(speech, prefix, speech.halves(size, model), model)

    def request(self, session: str, last: bytes) -> bytes:
        before, after = self.halves
        body = before + last + after
        path = f"{self.prefix.format(session=session)}/{self.speech.name}{self.speech.target(self.model)}"
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer none\r\n{self.speech.headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


@dataclass
class Load:
    """What one measurement saw: latencies in seconds, and how many requests or chunks there were."""

    latencies_s: list[float] = field(default_factory=list)
    chunk_delay_s: list[float] = field(default_factory=list)
    requests: int = 0
    chunks: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    resident_mb: float = 0.0


async def closed_loop(port: int, asked: Conversation, *, clients: int, count: int, offset: int) -> Load:
    """`clients` connections, each sending its next request when it has its reply; `count` requests in all."""
    load = Load()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        for turn in range(count // clients):
            request = asked.request(f"bench-{number}", last_message(number, offset + turn))
            began = time.perf_counter()
            writer.write(request)
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


async def first_byte(port: int, speech: Speech, prefix: str, *, offset: int) -> float:
    """Seconds from a request to the first byte of the stream that answers it."""
    asked = Conversation.of(speech, prefix, 2_000, "bench-n3-i1")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    request = asked.request("bench-stream", last_message(0, offset))
    began = time.perf_counter()
    writer.write(request)
    await reader.readuntil(b"\r\n\r\n")
    tail = await reader.read(1 << 16)
    took_s = time.perf_counter() - began
    while not tail.endswith(b"0\r\n\r\n"):
        data = await reader.read(1 << 16)
        if not data:
            raise RuntimeError("the stream was cut")
        tail = (tail + data)[-64:]
    writer.close()
    return took_s


async def stream_window(
    port: int, speech: Speech, prefix: str, pid: int | None, *, count: int, chunks: int, interval_ms: int
) -> Load:
    """Streams side by side. CPU, memory and chunks are counted only while all flow: no request is in them."""
    load = Load()
    asked = Conversation.of(speech, prefix, 2_000, f"bench-n{chunks}-i{interval_ms}")
    flowing = asyncio.Event()
    over = asyncio.Event()
    begun = 0

    async def one(number: int) -> None:
        nonlocal begun
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        # a pseudonym is known, so each chunk is searched for it
        last = last_message(number, time.monotonic_ns() % 1_000_000) + b" Write to jane.roe@clinic-example.org."
        writer.write(asked.request(f"bench-window-{number}", last))
        await reader.readuntil(b"\r\n\r\n")
        begun += 1
        if begun == count:
            flowing.set()
        tail = b""
        seen = 0
        while not tail.endswith(b"0\r\n\r\n"):
            data = await reader.read(1 << 16)
            if not data:
                raise RuntimeError("the stream was cut")
            now_ns = time.monotonic_ns()
            found = _TIME.findall(data)
            seen += len(found)
            if flowing.is_set() and not over.is_set():
                load.chunk_delay_s += [(now_ns - int(sent)) / 1e9 for sent in found]
                load.chunks += len(found)
            if seen >= chunks - 1:
                over.set()
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
