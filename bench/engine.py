"""What the replay engine and the scoring cost, with models that take no time.

    bench/engine.py [--rounds N] [--sizes 100,400,1600] [--inspect PYTHON] [--only Engine|Scoring]

Closed loops: each run is 10 model calls, 9 of them calls of a tool that answers at once. Ours go over HTTP through the
whole gateway, judged and recorded in SQLite, to a scripted model in another process; with --inspect the same work is
done by Inspect AI with its mock model, which answers in the process. PYTHON is an interpreter that has inspect-ai.
Rounds are interleaved and medians printed. CPU is that of the engine's process; wall time counts its machine's mood.
Peak memory is taken at two sizes, to show whether it grows with the number of runs.

Scoring: 100,000 recorded runs of 5 candidates, 400 tasks and 50 trials, each with a trajectory of 10 steps and a path
of its own, held against the reference path of its task.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path as File

sys.path.insert(0, str(File(__file__).parents[1]))
from bench.run import HERE, ROOT, Row, show, started, versions
from ironcage.scorecards import collector_paused
from scoring.paths import Call, Path
from scoring.score import score
from tests.support.scored_runs import attempt, bakeoff, run, says, step, tool_step, trajectory
from trajectory.conversation import Reply, ToolCall, Usage
from trajectory.trajectory import Step, Trajectory

STEPS = 10
CANDIDATES, TASKS, TRIALS = 5, 400, 50


def measured(command: list[str]) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode:
        raise SystemExit(f"{command[1]} failed:\n{done.stderr[-2000:]}")
    line: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return line


def loops(rounds: int, sizes: list[int], inspect: str | None) -> list[Row]:
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        _, port = started(stack, sys.executable, str(HERE / "engine_upstream.py"), str(STEPS))
        for _ in range(rounds):
            for runs in sizes:
                with tempfile.TemporaryDirectory() as folder:
                    ours = [sys.executable, str(HERE / "engine_ours.py"), str(port), str(runs), str(STEPS), folder]
                    found.setdefault(("ironcage", runs), []).append(measured(ours))
                    if inspect is not None:
                        theirs = [inspect, str(HERE / "engine_inspect.py"), str(runs), str(STEPS), folder]
                        found.setdefault(("Inspect AI", runs), []).append(measured(theirs))
    rows: list[Row] = []
    for (name, runs), lines in found.items():
        if any(line["passed"] != runs for line in lines):
            raise SystemExit(f"{name}: not all runs passed, so this was not the same work")
        label = f"{name}, {runs} runs"
        yardstick = found.get(("Inspect AI", runs))
        for measure, unit in (("wall_s", "steps/s"), ("cpu_s", "steps per CPU second")):
            rate = statistics.median(line["steps"] / line[measure] for line in lines)
            other = statistics.median(line["steps"] / line[measure] for line in yardstick) if yardstick else None
            rows.append(Row(label, rate, unit, rate / other if other else None))
        rows.append(Row(label, statistics.median(line["peak_mb"] for line in lines), "MB at most"))
    return rows


class Recorded(Mapping[str, Trajectory]):
    """Ten steps for each run, of a path of its own, put together when they are asked for."""

    def __init__(self, ids: list[str]) -> None:
        self._ids = ids

    def __getitem__(self, key: str) -> Trajectory:
        pairs = [one for at, call in enumerate(path_of_run(key)) for one in called(at, *call)]
        return trajectory(*pairs, *ENDING, identity=key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


ENDING = (step(attempt(answer=says("so it is")), index=8), step(attempt(answer=says("done")), index=9))


def path_of_run(key: str) -> list[tuple[str, int, int]]:
    """Four calls of five tools, with arguments that few runs share."""
    numbers = random.Random(key)
    return [(f"tool_{numbers.randrange(5)}", numbers.randrange(50), numbers.randrange(9)) for _ in range(4)]


@cache
def called(at: int, tool: str, number: int, note: int) -> tuple[Step, Step]:
    call = ToolCall("c", tool, arguments_of(number, note))
    answer = Reply(calls=(call,), finish="tool_call", usage=Usage(input_tokens=100, output_tokens=9))
    return step(attempt(answer=answer), index=2 * at), tool_step(tool, index=2 * at + 1)


def arguments_of(number: int, note: int) -> str:
    return json.dumps({"id": number, "note": f"n{note}"})


def reference(task: str) -> Path:
    return Path(tuple(Call(tool, arguments_of(*rest)) for tool, *rest in path_of_run(task)), "done")


def scoring() -> list[Row]:
    names, tasks = [f"m{n}" for n in range(CANDIDATES)], [f"t{n}" for n in range(TASKS)]
    runs = [
        run((trial * 7 + number) % 3 > 0, name=name, task=task, trial=trial)
        for name in names
        for number, task in enumerate(tasks)
        for trial in range(TRIALS)
    ]
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, cpu = time.monotonic(), time.process_time()
    references, recorded = {task: reference(task) for task in tasks}, Recorded([one.trajectory for one in runs])
    with collector_paused():
        card = score(bakeoff(names, tasks, TRIALS), runs, recorded, references=references)
    took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    after_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if len(card.runs) != len(runs):
        raise SystemExit("not all runs were scored")
    return [
        Row(f"{len(runs):,} runs scored", took_s, "s"),
        Row(f"{len(runs):,} runs scored", cpu_s, "CPU s"),
        Row("memory that scoring added", after_mb - before_mb, "MB at most"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmarks of the replay engine and of scoring.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="100,400", metavar="RUNS", help="how many runs a measurement has")
    parser.add_argument("--only", default="", metavar="TABLE", help="Engine or Scoring")
    parser.add_argument("--inspect", metavar="PYTHON", help="an interpreter with inspect-ai, to be measured beside")
    arguments = parser.parse_args()
    print(__doc__)
    print("versions: " + ", ".join(f"{name} {number}" for name, number in versions().items()))
    sizes = [int(size) for size in arguments.sizes.split(",")]
    if "Engine".startswith(arguments.only):
        show("Engine: ratio to Inspect AI", loops(arguments.rounds, sizes, arguments.inspect))
    if "Scoring".startswith(arguments.only):
        show("Scoring", scoring())


if __name__ == "__main__":
    main()
