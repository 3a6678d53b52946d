"""Benchmarks of the proxy, side by side with a direct connection and a bare aiohttp proxy, in one run.

    make bench                     all tables, and those of bench/engine.py and bench/shadow.py
    bench/run.py                   all tables here, some eight minutes
    bench/run.py --only Requests   one of Memory, Requests, Streams and Formats
    bench/run.py --quick           one round instead of five, for a look

Every peer is measured once per round, rounds are interleaved, medians are printed: the machine's mood hits all alike.
CPU is user and system time of the proxy's process tree over requests counted at the client, which is the figure that
survives a noisy machine. All policies and durable recording are on; redaction searches each new message and each reply.
Writes bench/out/<table>.json: rows with name, value, unit, ratio to the yardstick.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import load
from speech import CHAT, SPEECHES, Speech

HERE = Path(__file__).parent
ROOT = HERE.parent
OUT = HERE / "out"
SIZES = {"2 KB": (2_000, 1600), "32 KB": (32_000, 800), "200 KB": (200_000, 320)}
CLIENTS = 16


@dataclass
class Peer:
    """`pid` is None for a direct connection: there is no proxy whose CPU could be counted."""

    name: str
    port: int
    prefix: str
    pid: int | None

    async def asked(self, speech: Speech, size: int, *, clients: int, count: int, offset: int) -> load.Load:
        conversation = load.Conversation.of(speech, self.prefix, size)
        return await load.closed_loop(self.port, conversation, clients=clients, count=count, offset=offset)

    async def window(self, speech: Speech, *, count: int, chunks: int, interval_ms: int) -> load.Load:
        return await load.stream_window(
            self.port, speech, self.prefix, self.pid, count=count, chunks=chunks, interval_ms=interval_ms
        )


@dataclass
class Row:
    name: str
    value: float
    unit: str
    ratio: float | None = None


def started(stack: contextlib.ExitStack, *command: str) -> tuple[subprocess.Popen[str], int]:
    """A server of ours: it prints its port, and ends when its standard input closes."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(ended, process)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def place(name: str, upstream: int) -> dict[str, str]:
    """Where a format is served."""
    kind = {"kind": "mcp"} if name == "mcp" else {}
    return {"base_url": f"http://127.0.0.1:{upstream}/{name}", **kind}


def ironcage(stack: contextlib.ExitStack, upstream: int, folder: Path, *, redaction: bool) -> Peer:
    listen, admin = free_port(), free_port()
    limits = {"allowed_tools": ["tool_*"], "max_retries": 3, "network_egress_limit_mb": 100_000}
    settings = {
        "listen": f"127.0.0.1:{listen}",
        "admin_listen": f"127.0.0.1:{admin}",
        "upstreams": {name: place(name, upstream) for name in SPEECHES},
        "constraints": {"constraints": limits},
        "policies": {"redaction": {}} if redaction else {},
    }
    folder.mkdir()
    (folder / "ironcage.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "ironcage", "-c", str(folder / "ironcage.yaml"), "serve"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    stack.callback(lambda: (process.terminate(), process.wait()))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("ready"):
            break
    else:
        raise SystemExit("ironcage serve did not start")
    urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=10).close()
    return Peer("ironcage", listen, "/s/{session}", process.pid)


@contextlib.contextmanager
def peers() -> Iterator[list[Peer]]:
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        _, upstream = started(stack, sys.executable, str(HERE / "upstream.py"))
        bare, bare_port = started(stack, sys.executable, str(HERE / "bare_proxy.py"), f"http://127.0.0.1:{upstream}")
        yield [
            Peer("direct", upstream, "", None),
            Peer("bare aiohttp proxy", bare_port, "", bare.pid),
            ironcage(stack, upstream, Path(folder) / "all", redaction=True),
        ]


def cpu(peer: Peer) -> float:
    return load.cpu_s(peer.pid) if peer.pid is not None else 0.0


async def requests(all_peers: list[Peer], rounds: int) -> list[Row]:
    """Rate and CPU at 16 clients, latency at one; only the last message of each request is new."""
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    offset = 0
    for _ in range(rounds):
        for label, (size, count) in SIZES.items():
            for peer in all_peers:
                offset += 100_000
                await peer.asked(CHAT, size, clients=CLIENTS, count=CLIENTS * 4, offset=offset)
                before = cpu(peer)
                busy = await peer.asked(CHAT, size, clients=CLIENTS, count=count, offset=offset + 1000)
                spent = cpu(peer) - before
                alone = await peer.asked(CHAT, size, clients=1, count=count // 8, offset=offset + 50_000)
                key = (label, peer.name)
                found[*key, "requests/s"].append(busy.requests / busy.wall_s)
                found[*key, "CPU s per 1000 requests"].append(spent / busy.requests * 1000)
                ordered = sorted(alone.latencies_s)
                found[*key, "p50 ms"].append(statistics.median(ordered) * 1000)
                found[*key, "p99 ms"].append(ordered[int(len(ordered) * 0.99)] * 1000)
    rows: list[Row] = []
    for label in SIZES:
        for measure in ("requests/s", "CPU s per 1000 requests", "p50 ms", "p99 ms"):
            rows += compared(
                label, measure, {p.name: statistics.median(found[label, p.name, measure]) for p in all_peers}
            )
    return rows


async def streams(all_peers: list[Peer], rounds: int) -> list[Row]:
    """Time to first byte of one stream; CPU per 10,000 chunks while 20 streams flow at 200 chunks/s each."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    offset = 0
    for _ in range(rounds):
        for peer in all_peers:
            offset += 1000
            for number in range(20):
                first_s = await load.first_byte(peer.port, CHAT, peer.prefix, offset=offset + number)
                found[peer.name, "time to first byte, p50 ms"].append(first_s * 1000)
            window = await peer.window(CHAT, count=20, chunks=900, interval_ms=5)
            found[peer.name, "CPU s per 10,000 chunks"].append(window.cpu_s / window.chunks * 10_000)
            found[peer.name, "chunk delay, p50 ms"].append(statistics.median(window.chunk_delay_s) * 1000)
    rows: list[Row] = []
    for measure in ("time to first byte, p50 ms", "chunk delay, p50 ms", "CPU s per 10,000 chunks"):
        rows += compared("stream", measure, {p.name: statistics.median(found[p.name, measure]) for p in all_peers})
    return rows


FORMAT_MEASURES = ("CPU s per 10,000 chunks", "CPU s per 1000 requests", "time to first byte, p50 ms")


async def formats(all_peers: list[Peer], rounds: int) -> list[Row]:
    """Each wire format: CPU per streamed chunk and per whole reply of 1.3 KB, and time to first byte."""
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    offset = 0
    proxies = [peer for peer in all_peers if peer.pid is not None]
    for _ in range(rounds):
        for speech in SPEECHES.values():
            for peer in proxies:
                offset += 100_000
                window = await peer.window(speech, count=20, chunks=400, interval_ms=5)
                found[speech.name, peer.name, FORMAT_MEASURES[0]].append(window.cpu_s / window.chunks * 10_000)
                await peer.asked(speech, 2_000, clients=CLIENTS, count=CLIENTS * 2, offset=offset)
                before = cpu(peer)
                busy = await peer.asked(speech, 2_000, clients=CLIENTS, count=480, offset=offset + 1000)
                found[speech.name, peer.name, FORMAT_MEASURES[1]].append((cpu(peer) - before) / busy.requests * 1000)
            for number in range(15):
                for peer in proxies:
                    first_s = await load.first_byte(peer.port, speech, peer.prefix, offset=offset + 50_000 + number)
                    found[speech.name, peer.name, FORMAT_MEASURES[2]].append(first_s * 1000)
    rows: list[Row] = []
    for name in SPEECHES:
        for measure in FORMAT_MEASURES:
            rows += compared(name, measure, {p.name: statistics.median(found[name, p.name, measure]) for p in proxies})
        # of each pair, asked one right after the other: what else the machine does hits both
        bare, ours = (found[name, p.name, FORMAT_MEASURES[2]] for p in proxies)
        added = statistics.median(b - a for a, b in zip(bare, ours, strict=True))
        rows.append(Row(f"{name}, ironcage over bare", added, "added time to first byte, p50 ms"))
    return rows


async def memory(all_peers: list[Peer], _: int) -> list[Row]:
    """Resident memory of the idle proxy, and while 200 streams are open; how long a chunk takes then, when all 200
    come at the same moment. Measured first, before any load.
    """
    rows: list[Row] = []
    idle_mb = {peer.name: load.resident_mb(peer.pid) for peer in all_peers if peer.pid is not None}
    rows += [Row(f"{name}, idle", value, "MB") for name, value in idle_mb.items()]
    for peer in all_peers:
        window = await peer.window(CHAT, count=200, chunks=60, interval_ms=50)
        delays = sorted(window.chunk_delay_s)
        label = f"{peer.name}, 200 open streams"
        if peer.pid is not None:
            rows.append(Row(label, window.resident_mb, "MB"))
            rows.append(Row(label, (window.resident_mb - idle_mb[peer.name]) * 1024 / 200, "KB per stream"))
        rows.append(Row(label, statistics.median(delays) * 1000, "chunk delay, p50 ms"))
        rows.append(Row(label, delays[int(len(delays) * 0.99)] * 1000, "chunk delay, p99 ms"))
    return rows


def compared(label: str, measure: str, medians: dict[str, float]) -> list[Row]:
    yardstick = medians["bare aiohttp proxy"]
    return [
        Row(f"{label}, {name}", value, measure, value / yardstick if yardstick and value else None)
        for name, value in medians.items()
        if value
    ]


def show(title: str, rows: list[Row]) -> None:
    print(f"\n{title}")
    for row in rows:
        ratio = f"  {row.ratio:6.2f} x" if row.ratio is not None else ""
        print(f"  {row.name:<42} {row.value:>10.3f} {row.unit:<28}{ratio}")
    OUT.mkdir(exist_ok=True)
    name = title.split(":", maxsplit=1)[0].lower().replace(" ", "-")
    document = {
        "title": title,
        "at": datetime.now(UTC).isoformat(),
        "versions": versions(),
        "rows": [vars(r) for r in rows],
    }
    (OUT / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def versions() -> dict[str, str]:
    found = {
        name: version(name) for name in ("aiohttp", "uvloop", "httptools", "msgspec", "sqlalchemy", "presidio-analyzer")
    }
    return {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} CPUs", **found}


async def main(rounds: int, only: str) -> None:
    print(__doc__)
    print("versions: " + ", ".join(f"{k} {v}" for k, v in versions().items()))
    print(f"load average at the start: {os.getloadavg()[0]:.1f}; rounds: {rounds}")
    with peers() as all_peers:
        for title, table in TABLES.items():
            if title.startswith(only):
                show(title, await table(all_peers, rounds))


TABLES = {
    "Memory: resident and 200 streams, all policies on": memory,
    "Requests: ratio to the bare proxy": requests,
    "Streams: ratio to the bare proxy": streams,
    "Formats: ratio to the bare proxy": formats,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Benchmarks of the proxy.")
    parser.add_argument("--quick", action="store_true", help="one round instead of five")
    parser.add_argument("--only", default="", metavar="TABLE", help="Memory, Requests, Streams or Formats")
    arguments = parser.parse_args()
    asyncio.run(main(1 if arguments.quick else 5, arguments.only))
