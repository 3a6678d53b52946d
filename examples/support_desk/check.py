"""Did a run do what its task asked? Compares the final answer and the executed tool calls with tasks.json.

    IRONCAGE_RUN_FILE=run.json python check.py [--task ID]

Exit codes: 0 passed, 1 failed, 2 undecided (a run file that cannot be read, an unknown task). Prints the evidence.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASKS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "tasks.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Executed:
    """A tool call that reached its tool. `succeeded` is False where the tool, or a policy, said no."""

    tool: str
    arguments: dict[str, Any]
    succeeded: bool


@dataclass(frozen=True)
class Judgement:
    passed: bool | None
    evidence: str


def judge(task: str, answer: str | None, calls: list[Executed]) -> Judgement:
    """Each thing that is missing or wrong is named; all of them, not only the first."""
    expect = TASKS[task]["expect"]
    if not answer:
        return Judgement(False, "there is no answer")
    said = answer.lower()
    done = [call for call in calls if call.succeeded]
    wrong = [f"the answer lacks {text!r}" for text in expect.get("answer_has", ()) if text.lower() not in said]
    wrong += [f"the answer says {text!r}" for text in expect.get("answer_lacks", ()) if text.lower() in said]
    wrong += [f"{name} was called" for name in expect.get("not_called", ()) if any(call.tool == name for call in done)]
    wrong += [
        f"no call of {wanted['tool']} with {json.dumps(wanted['arguments'])}"
        for wanted in expect.get("called", ())
        if not any(_is_as_wanted(call, wanted) for call in done)
    ]
    if wrong:
        return Judgement(False, "; ".join(wrong))
    return Judgement(True, f"the answer and {len(done)} tool calls are as expected")


def read_run(run: dict[str, Any]) -> tuple[str, str | None, list[Executed]]:
    """Task, final answer and executed calls of a run file: its steps are the trajectory's, or stand in `trajectory`."""
    trajectory = run["trajectory"] if isinstance(run.get("trajectory"), dict) else run
    steps = [step for step in run.get("steps") or trajectory.get("steps") or () if step.get("kind") == "tool"]
    calls = [_executed(step) for step in steps]
    return run.get("task") or trajectory.get("task") or "", run.get("answer"), [call for call in calls if call]


def _executed(step: dict[str, Any]) -> Executed | None:
    last = (step.get("attempts") or [step])[-1]
    use = last.get("tool") or step.get("tool")
    if isinstance(use, str):
        use = {"name": use, "arguments": last.get("arguments", "")}
    if not use:
        return None
    try:
        arguments = json.loads(use.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    status = last.get("status")
    failed = bool(use.get("is_error")) or (status is not None and status >= 400) or last.get("end") == "refused"
    return Executed(use["name"], arguments if isinstance(arguments, dict) else {}, not failed)


def _is_as_wanted(call: Executed, wanted: dict[str, Any]) -> bool:
    return call.tool == wanted["tool"] and all(
        call.arguments.get(name) == value for name, value in wanted["arguments"].items()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Decide whether a run of the support desk did its task.")
    parser.add_argument("--task", default=os.environ.get("IRONCAGE_TASK", ""), help="else as the run file says")
    asked = parser.parse_args().task
    try:
        task, answer, calls = read_run(json.loads(Path(os.environ["IRONCAGE_RUN_FILE"]).read_text(encoding="utf-8")))
    except (KeyError, OSError, ValueError, TypeError, AttributeError) as error:
        print(f"undecided: cannot read the run file: {error!r}")
        return 2
    task = asked or task
    if task not in TASKS:
        print(f"undecided: there is no task {task!r} in tasks.json")
        return 2
    judgement = judge(task, answer, calls)
    print(judgement.evidence)
    return 0 if judgement.passed else 1


if __name__ == "__main__":
    sys.exit(main())
