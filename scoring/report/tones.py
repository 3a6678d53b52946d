"""The ways that a run can end, as a report shows them: each a name, a sign and a hatch, not colour alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Literal

from scoring.scorecard import RunRow, Scorecard

Tone = Literal["passed", "model", "policy", "timeout", "oom", "infra", "agent", "unknown"]

NAMES: dict[Tone, str] = {
    "passed": "passed",
    "model": "model fault",
    "policy": "stopped by policy",
    "timeout": "out of time",
    "oom": "out of memory",
    "infra": "infrastructure",
    "agent": "the agent's own code",
    "unknown": "unknown",
}
SIGNS: dict[Tone, str] = {
    "passed": "✓",
    "model": "✗",
    "policy": "P",
    "timeout": "T",
    "oom": "M",
    "infra": "I",
    "agent": "A",
    "unknown": "?",
}
HATCHES: dict[Tone, str] = {
    "passed": "",
    "model": "//",
    "policy": "xx",
    "timeout": "\\\\",
    "oom": "..",
    "infra": "--",
    "agent": "||",
    "unknown": "++",
}


def tone_of(row: RunRow) -> Tone:
    if row.passed:
        return "passed"
    if row.fault is not None:
        return "oom" if row.fault.is_oom else row.fault.fault_class
    return "unknown"


def tones_of(card: Scorecard) -> defaultdict[str, Counter[Tone]]:
    ends: defaultdict[str, Counter[Tone]] = defaultdict(Counter)
    for row in card.runs:
        ends[row.candidate][tone_of(row)] += 1
    return ends
