"""Success and score as functions of the share of trusted tool results.

Runs are left out, not re-weighted, and nothing is extrapolated to a share that no run reached: what a run would have
done with better results nobody knows. A run that goes astray also asks what nobody recorded, so that a slope says that
share and success go together, not that one makes the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from scoring.candidates import success_and_score
from scoring.efficiency import Weights
from scoring.estimates import Estimate, unknown
from scoring.fidelity.footing import Trust, levels, reaches, trusted_share
from scoring.fidelity.model import FidelityCurve, FidelityPoint
from scoring.scorecard import RunRow
from scoring.statistics import within_slope

THRESHOLDS = tuple(tenth / 10 for tenth in range(11))
LEAST_RUNS = 5
"""Scored runs below which a point is unknown."""
LEAST_TASKS = 10
"""Tasks with runs of different shares below which the slope is unknown: clustered errors of fewer are too small."""


_Shared = tuple[float | None, RunRow]
"""A run with its share of trusted results."""


class Flip(NamedTuple):
    """`ahead` is strictly ahead of `behind` over all runs, and strictly behind it at this threshold."""

    ahead: str
    behind: str
    trust: Trust
    at_least: float


def fidelity_curves(rows: Sequence[RunRow], names: Sequence[str], weights: Weights) -> tuple[FidelityCurve, ...]:
    """One for each level of trust and each candidate of `names`; none where no tool result was served."""
    by_name: defaultdict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        by_name[row.candidate].append(row)
    found = levels([row.fidelity for row in rows])
    drawn = [_curves(name, by_name[name], found, weights) for name in names] if found else []
    return tuple(curve for of_one_trust in zip(*drawn, strict=True) for curve in _ranked(of_one_trust))


def fidelity_flips(curves: Sequence[FidelityCurve]) -> tuple[Flip, ...]:
    """For each pair whose order changes, the lowest threshold at the strictest level of trust that does it."""
    found: dict[tuple[str, str], Flip] = {}
    for one, other in combinations(curves, 2):
        if one.trust != other.trust:
            continue
        for flip in _flips(one, other):
            found.setdefault((flip.ahead, flip.behind), flip)
    return tuple(found.values())


def _curves(name: str, rows: Sequence[RunRow], trusts: Sequence[Trust], weights: Weights) -> list[FidelityCurve]:
    whole = _point(0.0, rows, weights)
    return [
        _curve(name, [(trusted_share(row.fidelity, trust), row) for row in rows], trust, whole, weights)
        for trust in trusts
    ]


def _curve(name: str, shared: Sequence[_Shared], trust: Trust, whole: FidelityPoint, weights: Weights) -> FidelityCurve:
    points, left = [whole], shared
    for at_least in THRESHOLDS[1:]:
        left = [(share, row) for share, row in left if reaches(share, at_least)]
        if len(left) == points[-1].runs:  # each threshold leaves a part of what the one before left
            points.append(points[-1].model_copy(update={"at_least": at_least}))
        else:
            points.append(_point(at_least, [row for _, row in left], weights))
    return FidelityCurve(candidate=name, trust=trust, points=tuple(points), slope=_slope(shared))


def _point(at_least: float, rows: Sequence[RunRow], weights: Weights) -> FidelityPoint:
    scored = sum(row.counting == "scored" for row in rows)
    if scored < LEAST_RUNS:
        success = score = unknown(f"fewer than {LEAST_RUNS} scored runs", n=scored)
    else:
        success, score = success_and_score(rows, weights)
    passed = sum(row.passed for row in rows)
    return FidelityPoint(at_least=at_least, runs=len(rows), scored=scored, passed=passed, success=success, score=score)


def _slope(shared: Sequence[_Shared]) -> Estimate:
    shares = [(share, row) for share, row in shared if row.counting == "scored" and share is not None]
    found = within_slope(
        [share for share, _ in shares], [float(row.passed) for _, row in shares], [row.task for _, row in shares]
    )
    tasks = found.groups if found else 0
    if found is None or tasks < LEAST_TASKS:
        because = f"{tasks} tasks have scored runs of different shares, fewer than {LEAST_TASKS}"
        return unknown(because, n=found.n if found else 0)
    method = f"slope within {tasks} tasks, least squares"
    if found.interval is None:
        return Estimate(value=found.slope, n=found.n, method=f"{method}; no spread, no interval")
    low, high = found.interval
    method += ", 95 % t interval, error clustered by task (Arellano 1987)"
    return Estimate(value=found.slope, n=found.n, low=low, high=high, method=method)


def _ranked(curves: Sequence[FidelityCurve]) -> list[FidelityCurve]:
    """With the rank of each candidate at each point."""
    columns = [[curve.points[at].success.value for curve in curves] for at in range(len(THRESHOLDS))]
    ranked = []
    for i, curve in enumerate(curves):
        points = [
            point.model_copy(update={"rank": _rank(column[i], column)})
            for point, column in zip(curve.points, columns, strict=True)
        ]
        ranked.append(curve.model_copy(update={"points": tuple(points)}))
    return ranked


def _rank(value: float | None, column: Sequence[float | None]) -> int | None:
    return None if value is None else 1 + sum(other is not None and other > value for other in column)


def _flips(one: FidelityCurve, other: FidelityCurve) -> list[Flip]:
    def lead(at: int) -> float:
        a, b = one.points[at].success.value, other.points[at].success.value
        return 0.0 if a is None or b is None else a - b

    whole = lead(0)
    ahead, behind = (one, other) if whole > 0 else (other, one)
    return [
        Flip(ahead.candidate, behind.candidate, one.trust, at_least)
        for at, at_least in enumerate(THRESHOLDS)
        if whole * lead(at) < 0
    ]
