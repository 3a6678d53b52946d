"""Two one-sided tests: that two things differ by less than a margin. A large p of a test of difference never says so.

For tasks with several trials by Student's t over task means (Schuirmann 1987), for one run a task by the score test of
paired proportions (Tango 1998), which also holds where no pair is discordant and t knows no spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from scoring.statistics.errors import naive_se
from scoring.statistics.intervals import Interval, t_interval

ALPHA = 0.05


class Equivalence(NamedTuple):
    """`p_value` is the larger of the two one-sided ones: of the hypothesis that the difference is `margin` or more.

    `interval` is the one at 1 - 2 alpha that lies within the margins where the test succeeds. None where the test
    has none of its own.
    """

    difference: float
    margin: float
    p_value: float
    interval: Interval | None

    @property
    def is_equivalent(self) -> bool:
        return self.p_value < ALPHA


def equivalent_means(deltas: Sequence[float], margin: float) -> Equivalence | None:
    """Of paired differences, one for each task. None below two, and without spread (see `equivalent_pairs`)."""
    _check_margin(margin)
    se = naive_se(deltas)
    if not se:
        return None
    from scipy.special import stdtr  # noqa: PLC0415 -- scipy takes a third of a second to load

    degrees, mean = len(deltas) - 1, math.fsum(deltas) / len(deltas)
    p_value = float(stdtr(degrees, (abs(mean) - margin) / se))
    return Equivalence(mean, margin, p_value, t_interval(mean, se, degrees, 1 - 2 * ALPHA))


def equivalent_pairs(only_a: int, only_b: int, pairs: int, margin: float) -> Equivalence | None:
    """Of two pass rates on the same tasks, one run each; `only_a` were passed by a alone. None without pairs."""
    _check_margin(margin)
    if pairs < 1:
        return None
    p_value = NormalDist().cdf(-min(_tango(only_a, only_b, pairs, margin), _tango(only_b, only_a, pairs, margin)))
    return Equivalence((only_a - only_b) / pairs, margin, p_value, None)


def p_worse_means(deltas: Sequence[float], margin: float) -> float | None:
    """One-sided p of the hypothesis that a is worse than b by `margin` or more; None as for `equivalent_means`."""
    _check_margin(margin)
    se = naive_se(deltas)
    if not se:
        return None
    from scipy.special import stdtr  # noqa: PLC0415 -- as above

    return float(stdtr(len(deltas) - 1, -(math.fsum(deltas) / len(deltas) + margin) / se))


def p_worse_pairs(only_a: int, only_b: int, pairs: int, margin: float) -> float | None:
    """As `p_worse_means`, for one run a task; None without pairs."""
    _check_margin(margin)
    return NormalDist().cdf(-_tango(only_a, only_b, pairs, margin)) if pairs > 0 else None


def _tango(only_a: int, only_b: int, pairs: int, margin: float) -> float:
    """Score statistic of the hypothesis that a passes less often than b by `margin`; large speaks against it.

    Tango 1998, Statistics in Medicine 17:891; the variance is the one that the hypothesis allows.
    """
    # q: likeliest share of tasks passed by a alone if b's is larger by `margin`; 2 n q^2 + linear q = constant
    linear = (2 * pairs + only_a - only_b) * margin - only_a - only_b
    constant = only_a * margin * (1 - margin)
    q = (math.sqrt(linear * linear + 8 * pairs * constant) - linear) / (4 * pairs)
    variance = pairs * (2 * q + margin * (1 - margin))
    return (only_a - only_b + pairs * margin) / math.sqrt(variance)


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, not {margin}")
