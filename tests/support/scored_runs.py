"""Short ways to say a run, a step or a bake-off, for tests that score them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trajectory.conversation import Reply, ToolCall, Usage
from trajectory.events import End
from trajectory.record import Kind, ToolUse, VerdictNote
from trajectory.runs import Bakeoff, Candidate, Certificate, CheckResult, Limits, Run
from trajectory.trajectory import AttemptView, Step, Trajectory

FINGERPRINT = "f" * 32
UNLIMITED = Limits()


def candidate(name: str) -> Candidate:
    return Candidate(name=name, upstream="models", model=name)


def certificate(limits: Limits = UNLIMITED, **fields: Any) -> Certificate:
    """Valid unless `applied` says otherwise."""
    return Certificate(**{"grade": "portable", "asked": limits, "applied": limits, **fields})


def check(passed: bool | None, evidence: str = "exit code 0") -> CheckResult:
    return CheckResult(kind="command", passed=passed, evidence=evidence)


def run(passed: bool | None = True, *, name: str = "m", task: str = "t1", trial: int = 0, **fields: Any) -> Run:
    identity = f"{name}/{task}/{trial}"
    made: dict[str, Any] = {
        "id": identity,
        "bakeoff": "b",
        "task": task,
        "candidate": candidate(name),
        "trial": trial,
        "seed": 1,
        "fingerprint": FINGERPRINT,
        "mode": "agent",
        "status": "finished",
        "started_at": 0.0,
        "duration_s": 2.0,
        "trajectory": identity,
        "certificate": certificate(peak_memory_mb=256.0, exit_code=0),
        "checks": (check(passed),),
    }
    return Run(**{**made, **fields})


def attempt(
    status: int | None = 200,
    answer: Reply | None = None,
    *,
    end: End | None = None,
    number: int = 1,
    verdicts: Sequence[VerdictNote] = (),
    **fields: Any,
) -> AttemptView:
    ended: End = end or ("complete" if status is not None and status < 400 else "failed")
    made: dict[str, Any] = {
        "id": f"attempt-{number}",
        "number": number,
        "door": "base_url",
        "status": status,
        "end": ended,
        "error": None,
        "started_at": 0.0,
        "first_byte_s": 0.2,
        "total_s": 0.5,
        "request_bytes": 100,
        "reply_bytes": 100,
        "streamed": False,
        "answer": answer,
        "tool": None,
        "verdicts": tuple(verdicts),
    }
    return AttemptView(**{**made, **fields})


def step(*attempts: AttemptView, kind: Kind = "model", index: int = 0) -> Step:
    return Step(
        operation=f"op-{index}",
        index=index,
        kind=kind,
        wire="openai_chat",
        upstream="models",
        host="localhost",
        method="POST",
        path="/v1/chat/completions",
        digest="d",
        model="m" if kind == "model" else None,
        tools=(),
        attempts=attempts,
    )


def trajectory(*steps: Step, identity: str = "m/t1/0") -> Trajectory:
    return Trajectory(id=identity, session="s", task="t1", agent=None, started_at=0.0, steps=steps, source="replay")


def says(text: str, finish: str = "end", tokens: tuple[int, int] | None = (100, 10)) -> Reply:
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1]) if tokens else None
    return Reply(text=text, finish=finish, usage=usage)  # type: ignore[arg-type]


def calls(*names: str) -> Reply:
    made = tuple(ToolCall(id=f"c{i}", name=name, arguments="{}") for i, name in enumerate(names))
    return Reply(calls=made, finish="tool_call", usage=Usage(input_tokens=100, output_tokens=10))


def refuse(code: str = "tool_not_allowed", subject: str = "shell_exec", count: int = 1) -> VerdictNote:
    return VerdictNote(
        action="refuse", rule="tools", code=code, message="not in the list", subject=subject, count=count
    )


def tool_step(name: str, *, index: int = 0, status: int = 200) -> Step:
    return step(attempt(status, tool=ToolUse(name=name, arguments="{}")), kind="tool", index=index)


def bakeoff(names: Sequence[str], tasks: Sequence[str], trials: int = 1, **fields: Any) -> Bakeoff:
    made: dict[str, Any] = {
        "id": "b",
        "created_at": 0.0,
        "candidates": tuple(candidate(name) for name in names),
        "tasks": tuple(tasks),
        "trials": trials,
        "seed": 1,
        "fingerprint": FINGERPRINT,
        "fingerprint_parts": {"prompts": "aa", "policies": "bb"},
    }
    return Bakeoff(**{**made, **fields})


def table(results: Mapping[str, Mapping[str, Sequence[bool | None]]]) -> tuple[Bakeoff, list[Run]]:
    """A bake-off from {candidate: {task: outcome of each trial}}."""
    tasks = list(dict.fromkeys(task for by_task in results.values() for task in by_task))
    trials = max(len(outcomes) for by_task in results.values() for outcomes in by_task.values())
    runs = [
        run(passed, name=name, task=task, trial=trial)
        for name, by_task in results.items()
        for task, outcomes in by_task.items()
        for trial, passed in enumerate(outcomes)
    ]
    return bakeoff(list(results), tasks, trials), runs
