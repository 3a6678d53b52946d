"""Check of a re-enacted MedAgentBench run: the data set's own grade, and only if the run walked the recorded path.

    IRONCAGE_RUN_FILE=run.json MEDAGENT_CARDS=folder python -S -E tests/support/medagent_check.py

The folder is one that `medagentbench.write_cards` filled. The replies are those that the proxy recorded. What shows
the observations is the line of digests that the agent prints, or (with `strict_models`, for runs whose stdout nobody
kept) that the strict model server gave the last reply: it answers only the recorded history. Exit codes: 0 the recorded
path and graded correct; 1 the recorded path and not correct, which includes the five runs that the data set excluded
and left without a grade; 2 undecided: another path, or no evidence.
"""

# ruff: noqa: T201, PTH110, PTH123  a command that starts 150 times: pathlib would be half of its cost
from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> int:
    try:
        with open(os.environ["IRONCAGE_RUN_FILE"], encoding="utf-8") as file:
            run = json.load(file)
        code, evidence = judge(run, read_card(run["candidate"]["model"], run["task"]))
    except (KeyError, OSError, ValueError, TypeError, AttributeError) as error:
        code, evidence = 2, f"undecided: cannot read the run file: {error!r}"
    print(evidence)
    return code


def read_card(model: str, task: str) -> dict[str, Any] | None:
    card = f"{os.environ['MEDAGENT_CARDS']}/{model}.{task}.json"
    if not os.path.exists(card):
        return None
    with open(card, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def judge(run: dict[str, Any], card: dict[str, Any] | None, *, strict_models: bool = False) -> tuple[int, str]:
    """Exit code and evidence. Raises what reading a malformed run file raises."""
    if card is None:
        return 2, f"undecided: nothing is recorded of {run['candidate']['model']!r} on {run['task']!r}"
    difference = _replies_differ(run["steps"], card) or _observations_differ(run, card, strict_models=strict_models)
    if difference:
        return 2, f"undecided: not shown to be the recorded path: {difference}"
    path, reason = card["path"], card["reason"]
    if not card["graded"]:
        return 1, f"{path} and no more text; no grade in the data set, which counts it as not correct ({reason})"
    return (0 if card["correct"] else 1), f"{path}; graded {'correct' if card['correct'] else 'not correct'}: {reason}"


def _replies_differ(steps: list[dict[str, Any]], card: dict[str, Any]) -> str:
    replies = [(step.get("answer") or {}).get("text", "") for step in steps if step["kind"] == "model"]
    recorded = card["replies"]
    said, silent = replies[: len(recorded)], replies[len(recorded) :]
    if difference := _first_difference("reply", said, recorded):
        return difference
    if any(silent) or bool(silent) != card["ends_empty"]:
        return f"after the recorded replies came {len(silent)} more, {'none' if not any(silent) else 'some'} with text"
    return ""


def _observations_differ(run: dict[str, Any], card: dict[str, Any], *, strict_models: bool) -> str:
    line = next((line for line in (run.get("stdout") or "").splitlines() if line.startswith('{"replies"')), None)
    if line is None:
        return "" if strict_models else "nothing shows the observations: the agent's line of digests is missing"
    walked = json.loads(line)
    return _first_difference("reply to the agent", walked["replies"], card["reply_digests"]) or (
        _first_difference("observation", walked["observations"], card["observation_digests"])
    )


def _first_difference(what: str, run: list[str], recorded: list[str]) -> str:
    for number, (one, other) in enumerate(zip(run, recorded, strict=False)):
        if one != other:
            return f"{what} {number} differs"
    return "" if len(run) == len(recorded) else f"{len(run)} of {what} instead of {len(recorded)}"


if __name__ == "__main__":
    sys.exit(main())
