"""Two sets of values that share no tasks, such as a bake-off and what production did afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scoring.statistics.errors import naive_se
from scoring.statistics.intervals import Interval, t_interval


class UnpairedDifference(NamedTuple):
    """Mean of a - mean of b. `interval` and `p_value` are None where a side has fewer than two values."""

    mean: float
    interval: Interval | None
    p_value: float | None


def unpaired_difference(a: Sequence[float], b: Sequence[float]) -> UnpairedDifference | None:
    """Welch's t: sides may differ in size and spread. None where a side is empty.

    Where neither side has any spread t says nothing; then p is that of all arrangements of the values in two sets,
    and the interval is unknown.
    """
    if not a or not b:
        return None
    mean = math.fsum(a) / len(a) - math.fsum(b) / len(b)
    errors = naive_se(a), naive_se(b)
    if errors[0] is None or errors[1] is None:
        return UnpairedDifference(mean, None, None)
    parts = errors[0] ** 2, errors[1] ** 2
    total = sum(parts)
    if total == 0:
        p_value = 1.0 if mean == 0 else min(1.0, 2 / math.comb(len(a) + len(b), len(a)))
        return UnpairedDifference(mean, None, p_value)
    from scipy.special import stdtr  # noqa: PLC0415 -- scipy takes a third of a second to load

    degrees = total**2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    p_value = 2 * float(stdtr(degrees, -abs(mean) / math.sqrt(total)))
    return UnpairedDifference(mean, t_interval(mean, math.sqrt(total), degrees), p_value)


def fisher_exact(passed_a: int, n_a: int, passed_b: int, n_b: int) -> float:
    """Two-sided p that two rates are the same: all tables with these margins that are no likelier than this one."""
    passed, total = passed_a + passed_b, n_a + n_b
    lowest, highest = max(0, passed - n_b), min(passed, n_a)
    ways = [math.comb(n_a, k) * math.comb(n_b, passed - k) for k in range(lowest, highest + 1)]
    seen = ways[passed_a - lowest]
    return sum(way for way in ways if way <= seen) / math.comb(total, passed)
