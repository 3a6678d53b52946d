"""Real recorded results as bake-offs: tau-bench airline, four retail agents, seven models on MedAgentBench."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.scored_runs import attempt, bakeoff, candidate, certificate, run, says, step, tool_step
from tests.support.shared import shared_path
from trajectory.conversation import Reply
from trajectory.runs import Bakeoff, CheckResult, Run
from trajectory.trajectory import Trajectory

RETAIL = {
    "plain": "tool-calling-none-0.1_range_0-100_user-none-llm_06232025.json.gz",
    "advice": "tool-calling-with-preconditions-none-0.1_range_0-100_user-none-llm_0626123715.json.gz",
    "assertions-6-18": "assertions-agent-none-0.1_range_0-100_6_18_2025.json.gz",
    "assertions-6-20": "assertions-agent-none-0.1_range_0-100_6_20_2025_without_postcondition.json.gz",
}
SWEEP = {
    "fable5": "claude-fable-5",
    "opus5": "claude-opus-5",
    "g35f": "gemini-3.5-flash",
    "haiku": "claude-haiku-4-5",
    "g35fl": "gemini-3.5-flash-lite",
    "sonnet5": "claude-sonnet-5",
    "g3fp": "gemini-3-flash-preview",
}
Scored = tuple[Bakeoff, list[Run], dict[str, Trajectory]]


@cache
def airline() -> Scored:
    """200 GPT-4o runs: 50 tasks, 4 trials each."""
    rows = read_json(shared_path("data", "tau-bench", "historical_trajectories", "gpt-4o-airline.json.gz"))
    runs = [
        run(abs(row["reward"] - 1) <= 1e-6, name="gpt-4o", task=str(row["task_id"]), trial=row["trial"]) for row in rows
    ]
    return bakeoff(["gpt-4o"], [str(task) for task in range(50)], 4), runs, {}


@cache
def retail(*variants: str) -> Scored:
    """Agent variants, one run per task 0-99. A crash of the harness has neither reward nor trajectory."""
    folder = shared_path("data", "tau-bench-retail-variants")
    runs = [_retail_run(variant, row) for variant in variants for row in read_json(folder / RETAIL[variant])]
    return bakeoff(variants, [str(task) for task in range(100)]), runs, {}


@cache
def sweep() -> Scored:
    """Seven models on the same 25 tasks, in the order of the data set's README."""
    folder = shared_path("data", "medagentbench-sweep")
    runs: list[Run] = []
    trajectories: dict[str, Trajectory] = {}
    for key, name in SWEEP.items():
        with gzip.open(folder / f"{key}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                one = _sweep_run(name, row)
                runs.append(one)
                trajectories[one.trajectory] = _sweep_trajectory(one.trajectory, row)
    tasks = list(dict.fromkeys(one.task for one in runs))
    return bakeoff(list(SWEEP.values()), tasks), runs, trajectories


def _retail_run(variant: str, row: dict[str, Any]) -> Run:
    task, error = str(row["task_id"]), row["info"].get("error")
    if error is None:
        return run(abs(row["reward"] - 1) <= 1e-6, name=variant, task=task)
    return run(None, name=variant, task=task, status="harness_error", error=str(error))


def _sweep_run(name: str, row: dict[str, Any]) -> Run:
    grade = CheckResult(kind="label", passed=bool(row["correct"]), evidence=str((row["grade"] or {}).get("reason", "")))
    return run(
        name=name,
        task=row["task_id"],
        candidate=candidate(name),
        mode="closed_loop",
        duration_s=(row["duration_ms"] or 0) / 1000,
        certificate=certificate(grade="none"),
        checks=(grade,),
    )


def _sweep_trajectory(identity: str, row: dict[str, Any]) -> Trajectory:
    """Model and tool steps in turn; a run that the data set excluded ended in HTTP 200 with nothing, twice."""
    steps = []
    for turn in row["turns"]:
        steps.append(step(attempt(answer=says(turn["agent_reply"], tokens=None)), index=len(steps)))
        if turn["action_kind"] in ("get", "post"):
            steps.append(tool_step(turn["action_kind"], index=len(steps)))
    if row["infra_fail"]:
        assert "200 with no text and no tool calls" in row["infra_reason"]
        empty = Reply(finish="length")
        limit = (("max_tokens", "1024"),)
        tries = [attempt(answer=empty, extra=limit), attempt(answer=empty, extra=limit, number=2)]
        steps.append(step(*tries, index=len(steps)))
    return Trajectory(
        id=identity, session="s", task=row["task_id"], agent=None, started_at=0.0, steps=tuple(steps), source="imported"
    )


@cache
def read_json(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)
