"""One measurement of bench/engine.py: a bake-off of closed loops, in this process, through the whole gateway.

    bench/engine_ours.py UPSTREAM_PORT RUNS STEPS FOLDER

Prints one line of JSON: steps, wall_s, cpu_s, peak_mb, passed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))
from ironcage.assembly import open_doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.settings import load
from replay.bakeoff import run_bakeoff
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.plan import Plan
from replay.task import ExpectedAnswer, Task
from trajectory.runs import Candidate

TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"properties": {"key": {"type": "string"}}}}}


def configured(port: int, folder: Path) -> Path:
    limits = {"allowed_tools": ["lookup"], "max_retries": 3, "network_egress_limit_mb": 1000}
    settings = {
        "listen": "127.0.0.1:0",
        "store": f"sqlite:///{folder / 'ironcage.db'}",
        "upstreams": {"openai": {"base_url": f"http://127.0.0.1:{port}"}},
        "constraints": {"constraints": limits},
    }
    file = folder / "ironcage.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    return file


def task(number: int) -> Task:
    asked = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Look things up and answer."},
            {"role": "user", "content": f"What is it, number {number}?"},
        ],
        "tools": [TOOL],
    }
    return Task(
        id=f"t{number}", name=f"t{number}", input="", source="recorded", wire="openai.chat", upstream="openai",
        path="/v1/chat/completions", model="m", request=json.dumps(asked),
        checks=(ExpectedAnswer(answer="The answer is 42."),),
    )  # fmt: skip


async def main(port: int, runs: int, steps: int, folder: Path) -> None:
    loaded = load(configured(port, folder))
    plan = Plan(
        "bench", (Candidate(name="c", upstream="openai", model="m"),), tuple(map(task, range(runs))),
        limits=loaded.constraints.limits(), reference=None, max_steps=steps + 1, world=("bench.engine_world:Lookup",),
    )  # fmt: skip
    async with open_doors(loaded) as doors:
        doors.store.launched("recorded", None)
        began, cpu = time.monotonic(), time.process_time()
        await run_bakeoff(plan, BakeoffHouse(doors), cage=PortableCage(), executor=LocalExecutor(cpus=1))
        wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
        # what follows reads all runs at once, which the engine does not
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        stored = doors.store.runs("bench")
    passed = sum(run.checks[0].passed is True for run in stored)
    print(json.dumps({"steps": runs * steps, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb, "passed": passed}))


if __name__ == "__main__":
    port, runs, steps, folder = sys.argv[1:]
    uvloop.run(main(int(port), int(runs), int(steps), Path(folder)))
