"""Success and score by the share of trusted tool results, as data."""

from __future__ import annotations

from scoring.estimates import Estimate
from scoring.fidelity.footing import Trust
from trajectory.runs import Frozen


class FidelityPoint(Frozen):
    """Success and score when only those runs count that have at least this share of trusted tool results.

    Both are unknown where too few scored runs are left. `rank` is by success among the candidates known at this point;
    equal rates share one.
    """

    at_least: float
    runs: int
    scored: int
    passed: int
    success: Estimate
    score: Estimate
    rank: int | None = None


class FidelityCurve(Frozen):
    """`points` ascend in `at_least`, which leaves ever fewer runs.

    `slope` is by how much the success rate differs for each unit of the share, between runs of one task.
    """

    candidate: str
    trust: Trust
    points: tuple[FidelityPoint, ...]
    slope: Estimate

    def at(self, at_least: float) -> FidelityPoint:
        return next(point for point in self.points if point.at_least == at_least)
