"""Check of a re-enacted MedAgentBench run: the data set's own grade, and only if the run walked the recorded path.

    IRONCAGE_RUN_FILE=run.json python tests/support/medagent_check.py [--strict-models]

The replies are those that the proxy recorded. What shows the observations is the line of digests that the agent
prints, or (with --strict-models, for runs whose stdout nobody kept) that the strict model server gave the last reply:
it answers only the recorded history. Exit codes: 0 the recorded path and graded correct; 1 the recorded path and not
correct, which includes the five runs that the data set excluded and left without a grade; 2 undecided: another path,
or no evidence.
"""

# ruff: noqa: T201  a command: printing is its output
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run as a script: the repository's root is not on the path yet
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.support import medagentbench as bench


def main() -> int:
    parser = argparse.ArgumentParser(description="Grade a re-enacted MedAgentBench run.")
    parser.add_argument("--strict-models", action="store_true", help="the model server compared the observations")
    strict = parser.parse_args().strict_models
    try:
        run = json.loads(Path(os.environ["IRONCAGE_RUN_FILE"]).read_text(encoding="utf-8"))
        code, evidence = judge(run, strict_models=strict)
    except (KeyError, OSError, ValueError, TypeError, AttributeError) as error:
        code, evidence = 2, f"undecided: cannot read the run file: {error!r}"
    print(evidence)
    return code


def judge(run: dict[str, Any], *, strict_models: bool = False) -> tuple[int, str]:
    """Exit code and evidence. Raises what reading a malformed run file raises."""
    key, task = bench.model_key(run["candidate"]["model"]), run["task"]
    if key is None or task not in bench.rows(key):
        return 2, f"undecided: nothing is recorded of {run['candidate']['model']!r} on {task!r}"
    row = bench.row(key, task)
    difference = _replies_differ(run["steps"], row) or _observations_differ(run, row, strict_models=strict_models)
    if difference:
        return 2, f"undecided: not shown to be the recorded path: {difference}"
    path = f"the recorded path of {key} on {task}, {len(row.turns)} replies"
    if not row.graded:
        return 1, f"{path} and no more text; no grade in the data set, which counts it as not correct ({row.status})"
    return (0 if row.correct else 1), f"{path}; graded {'correct' if row.correct else 'not correct'}: {row.reason}"


def _replies_differ(steps: list[dict[str, Any]], row: bench.Row) -> str:
    replies = [(step.get("answer") or {}).get("text", "") for step in steps if step["kind"] == "model"]
    recorded = [turn.reply for turn in row.turns]
    said, silent = replies[: len(recorded)], replies[len(recorded) :]
    if difference := _first_difference("reply", said, recorded):
        return difference
    if any(silent) or bool(silent) != row.ends_empty:
        return f"after the recorded replies came {len(silent)} more, {'none' if not any(silent) else 'some'} with text"
    return ""


def _observations_differ(run: dict[str, Any], row: bench.Row, *, strict_models: bool) -> str:
    line = next((line for line in (run.get("stdout") or "").splitlines() if line.startswith('{"replies"')), None)
    if line is None:
        return "" if strict_models else "nothing shows the observations: the agent's line of digests is missing"
    walked = json.loads(line)
    recorded = [bench.digest(turn.observation) for turn in row.turns if turn.observation is not None]
    return _first_difference(
        "reply to the agent", walked["replies"], [bench.digest(turn.reply) for turn in row.turns]
    ) or (_first_difference("observation", walked["observations"], recorded))


def _first_difference(what: str, run: list[str], recorded: list[str]) -> str:
    for number, (one, other) in enumerate(zip(run, recorded, strict=False)):
        if one != other:
            return f"{what} {number} differs"
    return "" if len(run) == len(recorded) else f"{len(run)} of {what} instead of {len(recorded)}"


if __name__ == "__main__":
    sys.exit(main())
