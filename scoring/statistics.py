"""Intervals, errors and tests for success rates and means. Exact where an exact formula exists.

Too little data gives None, which means unknown; it never gives 0. Clusters are tasks: trials of one task are not
independent, and treating them so makes every interval too narrow (1.5 times on the tau-bench airline runs).
scipy is only needed for Student's t, and loads when it is first used.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95


class Interval(NamedTuple):
    low: float
    high: float


class PairedDifference(NamedTuple):
    """Mean of a - b. `se`, `interval` and `p_value` (Student's t) are None with fewer than two pairs or no spread."""

    mean: float
    se: float | None
    interval: Interval | None
    p_value: float | None


def pass_hat_k(tasks: Sequence[tuple[int, int]], k: int) -> float | None:
    """pass^k: that k trials drawn of a task all passed; mean over tasks of C(c, k) / C(n, k).

    `tasks` holds (passed, trials) of each task. None if there is no task, or one with fewer than k trials.
    Yao et al. 2024 (tau-bench), 2406.12045.
    """
    _check_k(k)
    if not tasks or any(n < k for _, n in tasks):
        return None
    return math.fsum(math.comb(c, k) / math.comb(n, k) for c, n in tasks) / len(tasks)


def pass_at_k(tasks: Sequence[tuple[int, int]], k: int) -> float | None:
    """pass@k: that at least one of k trials passed; mean over tasks of 1 - C(n - c, k) / C(n, k).

    None as for `pass_hat_k`. Chen et al. 2021, 2107.03374.
    """
    _check_k(k)
    if not tasks or any(n < k for _, n in tasks):
        return None
    return math.fsum(1 - math.comb(n - c, k) / math.comb(n, k) for c, n in tasks) / len(tasks)


def wilson(rate: float, n: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson score interval of a rate. `n` may be an effective size, not whole. None for n <= 0.

    Wilson 1927; no continuity correction.
    """
    if n <= 0:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre: float = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At a rate of 0 or 1 the closed form touches the edge exactly; rounding must not move it inside.
    low = 0.0 if rate == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if rate == 1 else min(1.0, (centre + spread) / scale)
    return Interval(low, high)


def naive_se(values: Sequence[float]) -> float | None:
    """Standard error of the mean as if all values were independent: s / sqrt(n). None below two values."""
    n = len(values)
    if n < 2:
        return None
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)


def clustered_se(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """Standard error of the mean with values correlated within clusters. None below two clusters.

    sqrt(C / (C - 1) * sum over clusters of (sum of deviations)^2) / n: Miller 2024, 2411.00640, appendix A, with the
    finite-cluster factor as Inspect AI applies it.
    """
    n = len(values)
    sums: defaultdict[Hashable, float] = defaultdict(float)
    mean = math.fsum(values) / n if n else 0.0
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - mean
    count = len(sums)
    if count < 2:
        return None
    return math.sqrt(count / (count - 1) * math.fsum(s * s for s in sums.values())) / n


def design_effect(naive: float | None, clustered: float | None) -> float | None:
    """(clustered / naive)^2: how many dependent runs are worth one independent run. None without spread."""
    if not naive or clustered is None:
        return None
    return (clustered / naive) ** 2


def effective_n(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Number of independent values that `values` are worth.

    Never more than there are, nor fewer than clusters (fully dependent within each); where there is no spread
    to tell (all passed, all failed), the number of clusters, which is the safe side.
    """
    n, count = len(values), len(set(clusters))
    effect = design_effect(naive_se(values), clustered_se(values, clusters))
    if effect is None or effect == 0:
        return float(count)
    return min(float(n), max(float(count), n / effect))


def t_interval(mean: float, se: float, degrees: int, confidence: float = CONFIDENCE) -> Interval:
    from scipy.special import stdtrit  # noqa: PLC0415 -- scipy takes a third of a second to load

    reach = float(stdtrit(degrees, 0.5 + confidence / 2)) * se
    return Interval(mean - reach, mean + reach)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> PairedDifference | None:
    """Of values paired by task (the mean over trials first, where there are several). None without pairs."""
    deltas = [x - y for x, y in zip(a, b, strict=True)]
    if not deltas:
        return None
    mean = math.fsum(deltas) / len(deltas)
    se = naive_se(deltas)
    if not se:
        return PairedDifference(mean, None, None, None)
    from scipy.special import stdtr  # noqa: PLC0415 -- as above

    degrees = len(deltas) - 1
    p_value = 2 * float(stdtr(degrees, -abs(mean) / se))
    return PairedDifference(mean, se, t_interval(mean, se, degrees), p_value)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact p of the discordant pairs: binomial with one half. 1.0 where no pair is discordant."""
    n, smaller = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, i) for i in range(smaller + 1))
    return min(1.0, 2 * tail / (1 << n))


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down adjustment, in the order given. Unknown ones stay unknown and are not counted."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(known):
        running = max(running, min(1.0, p * (len(known) - rank)))
        adjusted[i] = running
    return tuple(adjusted)


def correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Pearson's r; None below two pairs or where either side has no spread."""
    n = len(a)
    if n < 2:
        return None
    mean_a, mean_b = math.fsum(a) / n, math.fsum(b) / n
    cross = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = math.fsum((x - mean_a) ** 2 for x in a) * math.fsum((y - mean_b) ** 2 for y in b)
    return max(-1.0, min(1.0, cross / math.sqrt(spread))) if spread > 0 else None


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
