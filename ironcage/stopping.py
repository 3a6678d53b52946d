"""When a bake-off has seen enough: every pair of its candidates is decided, by a test that may look after each task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean

from scoring.conduct import Background
from scoring.score import score_run
from scoring.scorecard import RunRow
from scoring.statistics.sequential import Sequential, follow
from trajectory.errors import StoreError
from trajectory.runs import Run
from trajectory.store import Store
from trajectory.trajectory import Trajectory


class Decided:
    """Asked after each task. `margin` is the difference in success rate that would not matter, as a share: without one,
    candidates that are alike are never told apart from ones that are not yet.
    """

    def __init__(
        self, store: Store, tasks: Sequence[str], candidates: Sequence[str], trials: int, *, margin: float | None
    ) -> None:
        """`tasks` in the order in which they were drawn, before the first result."""
        self._store = store
        self._tasks, self._candidates, self._trials, self._margin = tasks, candidates, trials, margin
        self._rows: dict[str, RunRow] = {}

    def __call__(self, runs: Sequence[Run]) -> str | None:
        for run in runs:
            if run.id not in self._rows and run.candidate.name in self._candidates:
                self._rows[run.id] = score_run(run, self._trajectory(run), Background())
        rates = self._rates()
        told: list[str] = []
        for a, b in combinations(self._candidates, 2):
            found = follow(_deltas(rates[a], rates[b], self._tasks), margin=self._margin)
            if found is None or found.verdict == "open":
                return None
            told.append(_told(a, b, found, self._margin))
        return "; ".join(told) or None

    def _rates(self) -> Mapping[str, Mapping[str, float]]:
        """By candidate and task, of tasks of which all trials are there; infrastructure faults left out."""
        trials: defaultdict[tuple[str, str], list[RunRow]] = defaultdict(list)
        for row in self._rows.values():
            trials[row.candidate, row.task].append(row)
        rates: dict[str, dict[str, float]] = {name: {} for name in self._candidates}
        for (name, task), rows in trials.items():
            scored = [float(row.passed) for row in rows if row.counting == "scored"]
            if len(rows) == self._trials and scored:
                rates[name][task] = fmean(scored)
        return rates

    def _trajectory(self, run: Run) -> Trajectory | None:
        try:
            return self._store.trajectory(run.trajectory)
        except StoreError:
            return None


def _deltas(a: Mapping[str, float], b: Mapping[str, float], tasks: Sequence[str]) -> list[float]:
    return [a[task] - b[task] for task in tasks if task in a and task in b]


def _told(a: str, b: str, found: Sequential, margin: float | None) -> str:
    low, high = (100 * edge for edge in found.interval)
    between = f"after {found.looks} tasks, difference {low:+.0f} to {high:+.0f} points"
    if found.verdict == "alike":
        return f"{a} and {b} lie within {100 * (margin or 0):g} points of each other {between}"
    better, other = (a, b) if found.verdict == "a is better" else (b, a)
    return f"{better} is better than {other} {between}, p {found.p_value:.2g}"
