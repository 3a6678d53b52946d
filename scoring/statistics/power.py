"""What a bake-off can see, before it runs: the smallest difference that it would find, and the tasks it needs.

Miller 2024, 2411.00640, section 5: n = (z_alpha/2 + z_beta)^2 (w^2 + (s_A^2 + s_B^2) / K) / delta^2 for n tasks with K
trials each. Normal approximation: below about 20 tasks the truth is larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

POWER = 0.8
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Spread:
    """Variances of a paired comparison: `between` of the per-task difference of true means, `within_a` and `within_b`
    of single trials of one task. Where tasks come in clusters of `cluster_size` (one repository, one customer) with
    correlation `icc`, n tasks are worth n / (1 + (cluster_size - 1) icc).
    """

    between: float
    within_a: float
    within_b: float
    cluster_size: float = 1.0
    icc: float = 0.0

    def __post_init__(self) -> None:
        if min(self.between, self.within_a, self.within_b) < 0:
            raise ValueError("a variance is never below 0")

    def of_trials(self, trials: int) -> float:
        """Variance of the difference of one task's means over `trials`, design effect included."""
        if trials < 1:
            raise ValueError(f"trials must be at least 1, not {trials}")
        effect = 1 + (self.cluster_size - 1) * self.icc
        return effect * (self.between + (self.within_a + self.within_b) / trials)


def spread_of_rates(rate: float, icc: float, likeness: float = 0.0) -> Spread:
    """Before any data: both candidates near `rate`, trials of one task alike by `icc` (0.4 on tau-bench airline), and
    tasks equally hard for both by `likeness` (correlation of their true rates over tasks; 0 is the safe side).
    """
    variance = rate * (1 - rate)
    within = variance * (1 - icc)
    return Spread(2 * variance * icc * (1 - likeness), within, within)


def detectable_difference(
    spread: Spread, tasks: int, trials: int = 1, *, power: float = POWER, alpha: float = ALPHA
) -> float | None:
    """The smallest difference of means that is found with probability `power`. None without tasks."""
    if tasks < 1:
        return None
    return _quantiles(power, alpha) * math.sqrt(spread.of_trials(trials) / tasks)


def tasks_needed(
    spread: Spread, difference: float, trials: int = 1, *, power: float = POWER, alpha: float = ALPHA
) -> int:
    """How many tasks it takes to find `difference` with probability `power`."""
    if not difference > 0:
        raise ValueError(f"the difference must be above 0, not {difference}")
    return math.ceil(_quantiles(power, alpha) ** 2 * spread.of_trials(trials) / difference**2)


def detectable_in_pairs(pairs: int, discordant: float, *, power: float = POWER, alpha: float = ALPHA) -> float | None:
    """For McNemar's test on `pairs` tasks of which a share `discordant` is passed by one candidate alone.

    Root of n d^2 = (z_alpha/2 sqrt(p) + z_beta sqrt(p - d^2))^2, Connor 1987. None where even the largest possible
    difference, all discordant tasks on one side, would be missed.
    """
    if not 0 < discordant <= 1:
        raise ValueError(f"the discordant share lies above 0 and up to 1, not {discordant}")
    normal = NormalDist()
    z_alpha, z_beta = normal.inv_cdf(1 - alpha / 2), normal.inv_cdf(power)

    def is_seen(difference: float) -> bool:
        needed = z_alpha * math.sqrt(discordant) + z_beta * math.sqrt(max(0.0, discordant - difference**2))
        return difference * math.sqrt(pairs) >= needed

    low, high = 0.0, discordant
    if pairs < 1 or not is_seen(high):
        return None
    for _ in range(60):  # halvings: past the last digit of a float
        middle = (low + high) / 2
        low, high = (low, middle) if is_seen(middle) else (middle, high)
    return high


def _quantiles(power: float, alpha: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
