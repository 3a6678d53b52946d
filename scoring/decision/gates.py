"""What must hold of a candidate before its objective counts: shown, shown not to, or open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from scoring.comparison import is_different
from scoring.decision.model import Gate, PresetName
from scoring.decision.presets import COMPLIANCE_CODES, MARGIN
from scoring.scorecard import CandidateRow, RunRow, Scorecard
from scoring.statistics import p_worse_means, p_worse_pairs, wilson
from scoring.wording import count, p_text, percent

_ALPHA = 0.05
Judged = Mapping[str, tuple[Gate, str]]


def judge(card: Scorecard, preset: PresetName) -> Judged:
    """For each candidate with a scored run; recorded production is judged like any other."""
    rows = [row for row in card.candidates if row.success.value is not None]
    if preset == "cost-sensitive":
        return _not_worse(card, rows)
    if preset == "strict-compliance":
        return {row.candidate.name: _compliant(row, card.runs) for row in rows}
    return {row.candidate.name: ("in", f"{count(row.success.n, 'scored run')}") for row in rows}


def violations(row: RunRow) -> int:
    return sum(n for code, n in row.measures.refusals.items() if code in COMPLIANCE_CODES)


def _not_worse(card: Scorecard, rows: Sequence[CandidateRow]) -> Judged:
    if not rows:
        return {}
    best = max(rows, key=lambda row: (row.success.value or 0.0, row.success.n)).candidate.name
    judged: dict[str, tuple[Gate, str]] = {}
    for row in rows:
        name = row.candidate.name
        judged[name] = ("in", "the most successful") if name == best else _beside(card, name, best)
    return judged


def _beside(card: Scorecard, name: str, best: str) -> tuple[Gate, str]:
    pair = next(pair for pair in card.pairs if {pair.a, pair.b} == {name, best})
    if is_different(pair):
        return "out", f"succeeds less often than {best} ({p_text(pair.as_scored.p_holm)} after Holm)"
    p_value, tasks = _p_worse(card.runs, name, best)
    within = f"at most {100 * MARGIN:g} points less often than {best}"
    said = f"p {p_text(p_value)} on {count(tasks, 'task')}"
    if p_value is not None and p_value < _ALPHA:
        return "in", f"shown to succeed {within} ({said})"
    return "open", f"not shown to succeed {within} ({said})"


def _p_worse(runs: Sequence[RunRow], name: str, best: str) -> tuple[float | None, int]:
    passes: defaultdict[str, dict[str, list[bool]]] = defaultdict(dict)
    for row in runs:
        if row.counting == "scored":
            passes[row.candidate].setdefault(row.task, []).append(row.passed)
    a, b = passes[name], passes[best]
    tasks = [task for task in a if task in b]
    deltas = [sum(a[task]) / len(a[task]) - sum(b[task]) / len(b[task]) for task in tasks]
    if all(len(a[task]) == len(b[task]) == 1 for task in tasks):
        lost, won = sum(d < 0 for d in deltas), sum(d > 0 for d in deltas)
        return p_worse_pairs(won, lost, len(tasks), MARGIN), len(tasks)
    return p_worse_means(deltas, MARGIN), len(tasks)


def _compliant(row: CandidateRow, runs: Sequence[RunRow]) -> tuple[Gate, str]:
    own = [run for run in runs if run.candidate == row.candidate.name]
    recorded = [run for run in own if run.measures.operations is not None]
    broke = sum(violations(run) > 0 for run in recorded)
    if broke:
        return "out", f"tried what policy refuses in {broke} of {count(len(recorded), 'run')}"
    if len(recorded) < len(own):
        return "open", f"{len(own) - len(recorded)} of {count(len(own), 'run')} left no record of what they tried"
    highest = wilson(0.0, len(recorded))
    assert highest is not None
    return "in", f"no violation in {count(len(recorded), 'run')}; up to {percent(highest.high)} cannot be excluded"
