"""What shadow traffic adds to production: 50 requests a second, with 20 % of them mirrored and with none.

    bench/shadow.py            about 50 seconds

One ironcage with all policies and durable recording, one scripted model on loopback that answers at once (the worst
case: mirrored requests come back while production is busy). Requests are sent on a fixed schedule whether or not
earlier ones have come back, and timed from their place in it. Rounds with and without the shadow alternate; the order
turns round after each pair. Latencies of all rounds of a kind are pooled; the interval of the difference is a
bootstrap over pairs of rounds. Writes bench/out/shadow.json.

On a machine with other work the 99th percentile is that of the other work: there, start it with `chrt -r 1`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parent))
import load
import run
from speech import CHAT

RATE_PER_S = 50
SHARE = 0.2
CONNECTIONS = 25
GOAL_MS = 1.0


@dataclass
class Served:
    """A running ironcage."""

    port: int
    admin: int
    pid: int

    def shadow(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        url = f"http://127.0.0.1:{self.admin}/api/shadow"
        asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(asked, timeout=30) as reply:
            said: dict[str, Any] = json.load(reply)
            return said


@dataclass
class Kind:
    """Rounds with or without the shadow."""

    name: str
    rounds: list[list[float]] = field(default_factory=list)
    cpu_s: float = 0.0
    mirrored: int = 0

    @property
    def pooled(self) -> list[float]:
        return [latency for one in self.rounds for latency in one]


@contextlib.contextmanager
def served() -> Any:
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        _, upstream = run.started(stack, sys.executable, str(run.HERE / "upstream.py"))
        listen, admin = run.free_port(), run.free_port()
        settings = {
            "listen": f"127.0.0.1:{listen}",
            "admin_listen": f"127.0.0.1:{admin}",
            "upstreams": {CHAT.name: run.place(CHAT.name, upstream)},
            "constraints": {"constraints": {"allowed_tools": ["tool_*"], "max_retries": 3}},
            "policies": {"redaction": {}},
        }
        config = Path(folder, "ironcage.yaml")
        config.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "ironcage", "-c", str(config), "serve"]
        environment = {**os.environ, "PYTHONPATH": str(run.ROOT)}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        stack.callback(lambda: (process.terminate(), process.wait()))
        assert process.stderr is not None
        if not any(line.startswith("ready") for line in process.stderr):
            raise SystemExit("ironcage serve did not start")
        yield Served(listen, admin, process.pid)


async def window(at: Served, seconds: float, offset: int, size: int) -> list[float]:
    """Seconds that each request took, from its place in the schedule."""
    asked = load.Conversation.of(CHAT, "/s/{session}", size)
    opened = [await asyncio.open_connection("127.0.0.1", at.port, limit=1 << 20) for _ in range(CONNECTIONS)]
    turns = [asyncio.Lock() for _ in range(CONNECTIONS)]
    count, began = int(seconds * RATE_PER_S), time.perf_counter()

    async def one(number: int) -> float:
        due = began + number / RATE_PER_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        reader, writer = opened[number % CONNECTIONS]
        async with turns[number % CONNECTIONS]:
            last = load.last_message(number % CONNECTIONS, offset + number)
            writer.write(asked.request(f"bench-{number % CONNECTIONS}", last))
            await load.read_whole(reader)
        return time.perf_counter() - due

    taken = await asyncio.gather(*(one(number) for number in range(count)))
    for _, writer in opened:
        writer.close()
    return taken


async def measured(at: Served, pairs: int, seconds: float, size: int) -> tuple[Kind, Kind]:
    off, on = Kind("without shadow"), Kind("shadow at 20 %")
    wanted = {"candidates": [f"other={CHAT.name}/bench"], "share": SHARE, "max_per_s": 1000}
    await window(at, 2, 1_000_000, size)
    for pair in range(pairs):
        for kind in (off, on) if pair % 2 == 0 else (on, off):
            if kind is on:
                await asyncio.to_thread(at.shadow, "POST", wanted)
            before = load.cpu_s(at.pid)
            kind.rounds.append(await window(at, seconds, pair * 100_000 + (kind is on) * 50_000, size))
            kind.cpu_s += load.cpu_s(at.pid) - before
            if kind is on:
                kind.mirrored += (await asyncio.to_thread(at.shadow, "DELETE"))["counts"]["compared"]
    return off, on


def quantile_ms(latencies: list[float], share: float) -> float:
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def difference_ms(off: Kind, on: Kind, share: float) -> tuple[float, float, float]:
    """Of the pooled quantiles, with its 95 % interval: pairs of rounds are drawn anew, 2,000 times."""
    drawn, chance = [], random.Random(0)
    pairs = list(zip(off.rounds, on.rounds, strict=True))
    for _ in range(2000):
        chosen = [chance.choice(pairs) for _ in pairs]
        without = [latency for one, _ in chosen for latency in one]
        drawn.append(quantile_ms([t for _, one in chosen for t in one], share) - quantile_ms(without, share))
    drawn.sort()
    return quantile_ms(on.pooled, share) - quantile_ms(off.pooled, share), drawn[50], drawn[1949]


async def main(pairs: int, seconds: float, size: int) -> None:
    print(__doc__)
    print(f"{pairs} pairs of rounds of {seconds:g} s, {RATE_PER_S} requests/s of {size} bytes; "
          f"load average at the start: {os.getloadavg()[0]:.1f}")  # fmt: skip
    with served() as at:
        off, on = await measured(at, pairs, seconds, size)
    rows = []
    for kind in (off, on):
        rows += [
            run.Row(f"{kind.name}, p{round(100 * share)}", quantile_ms(kind.pooled, share), "ms")
            for share in (0.5, 0.99)
        ]
        rows.append(run.Row(f"{kind.name}, CPU", kind.cpu_s / len(kind.pooled) * 1000, "ms a request"))
    for share in (0.5, 0.99):
        value, low, high = difference_ms(off, on, share)
        per_round = statistics.median(
            quantile_ms(b, share) - quantile_ms(a, share) for a, b in zip(off.rounds, on.rounds, strict=True)
        )
        rows.append(run.Row(f"added, p{round(100 * share)}, pooled [{low:.3f}, {high:.3f}]", value, "ms"))
        rows.append(run.Row(f"added, p{round(100 * share)}, median of pairs of rounds", per_round, "ms"))
    rows.append(run.Row("requests without shadow", len(off.pooled), ""))
    rows.append(run.Row("requests with shadow", len(on.pooled), ""))
    rows.append(run.Row("of these mirrored and compared", on.mirrored, "", on.mirrored / len(on.pooled)))
    run.show("Shadow: latency of production", rows)
    print(f"goal: less than {GOAL_MS:g} ms added at p99")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What shadow traffic adds to production.")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of rounds")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round")
    parser.add_argument("--size", type=int, default=2_000, help="bytes of a request")
    arguments = parser.parse_args()
    uvloop.run(main(arguments.pairs, arguments.seconds, arguments.size))
