"""Success rates: pass^k, pass@k, and Wilson's interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from scoring.statistics.intervals import CONFIDENCE, Interval


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


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
