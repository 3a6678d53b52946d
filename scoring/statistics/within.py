"""How an outcome moves with a quantity inside each group, so that what makes a whole group easy or hard drops out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from scoring.statistics.intervals import Interval, t_interval


class WithinSlope(NamedTuple):
    """`n` values in `groups` groups where x varies. `interval` is None below two groups and without any residual."""

    slope: float
    interval: Interval | None
    n: int
    groups: int


def within_slope(x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable]) -> WithinSlope | None:
    """Least squares with an intercept for each group. None where x varies within none.

    The error allows values of one group to depend on each other (Arellano 1987), with the finite-cluster factor
    C / (C - 1) and Student's t on C - 1 degrees; groups where x is constant say nothing and are not counted.
    """
    members: defaultdict[Hashable, list[tuple[float, float]]] = defaultdict(list)
    for a, b, group in zip(x, y, groups, strict=True):
        members[group].append((a, b))
    centred = [_centred(pairs) for pairs in members.values() if len({a for a, _ in pairs}) > 1]
    if not centred:
        return None
    whole = math.fsum(a * a for pairs in centred for a, _ in pairs)
    slope = math.fsum(a * b for pairs in centred for a, b in pairs) / whole
    scores = [math.fsum(a * (b - slope * a) for a, b in pairs) for pairs in centred]
    count, n = len(centred), sum(map(len, centred))
    squares = math.fsum(score * score for score in scores)
    if count < 2 or squares <= (1e-12 * whole) ** 2:
        return WithinSlope(slope, None, n, count)
    error = math.sqrt(count / (count - 1) * squares) / whole
    return WithinSlope(slope, t_interval(slope, error, count - 1), n, count)


def _centred(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    mean_a, mean_b = (math.fsum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return [(a - mean_a, b - mean_b) for a, b in pairs]
