"""Values that come in pairs, such as two candidates on the same tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scoring.statistics.errors import naive_se
from scoring.statistics.intervals import Interval, t_interval


class PairedDifference(NamedTuple):
    """Mean of a - b. `se`, `interval` and `p_value` (Student's t) are None with fewer than two pairs or no spread."""

    mean: float
    se: float | None
    interval: Interval | None
    p_value: float | None


def paired_difference(a: Sequence[float], b: Sequence[float]) -> PairedDifference | None:
    """Of values paired by task (the mean over trials first, where there are several). None without pairs."""
    deltas = [x - y for x, y in zip(a, b, strict=True)]
    if not deltas:
        return None
    mean = math.fsum(deltas) / len(deltas)
    se = naive_se(deltas)
    if not se:
        return PairedDifference(mean, None, None, None)
    from scipy.special import stdtr  # noqa: PLC0415 -- scipy takes a third of a second to load

    degrees = len(deltas) - 1
    p_value = 2 * float(stdtr(degrees, -abs(mean) / se))
    return PairedDifference(mean, se, t_interval(mean, se, degrees), p_value)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact p of the discordant pairs: binomial with one half. 1.0 where no pair is discordant."""
    n, smaller = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, i) for i in range(smaller + 1))
    return min(1.0, 2 * tail / (1 << n))


def correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Pearson's r; None below two pairs or where either side has no spread."""
    n = len(a)
    if n < 2:
        return None
    mean_a, mean_b = math.fsum(a) / n, math.fsum(b) / n
    cross = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = math.fsum((x - mean_a) ** 2 for x in a) * math.fsum((y - mean_b) ** 2 for y in b)
    return max(-1.0, min(1.0, cross / math.sqrt(spread))) if spread > 0 else None
