"""Looking at a comparison after every task, and stopping when it has been decided, without paying for the looks.

Testing by betting: someone who bets on the differences one by one cannot multiply the money by 20, whenever they stop,
with probability above 1/20, if the mean difference is what is claimed (Ville's inequality; Waudby-Smith and Ramdas
2024, 2010.09686, with the bet averaged over a grid of stakes as in Cover's universal portfolio). So the p value and the
interval below hold at every look at once, for any differences within [-1, 1], without a normal approximation. The price
is an interval about half as wide again as the one that looks once.

Tasks must come in an order that was drawn before the first result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from scoring.statistics.intervals import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.05
_STAKES = np.linspace(-0.95, 0.95, 39)
"""Shares of the money that may be staked without ever losing all; 0 among them, which only waits."""
_MEANS = np.linspace(-1, 1, 401)
"""Candidate means, half a point of success rate apart."""

Verdict = Literal["a is better", "b is better", "alike", "open"]


@dataclass(frozen=True, slots=True)
class Sequential:
    """After `looks` tasks: stop if the verdict is not open. `interval` covers the mean difference at all looks at
    once; alike means that it lies within the margin.
    """

    looks: int
    verdict: Verdict
    p_value: float
    interval: Interval


def follow(deltas: Sequence[float], *, margin: float | None = None, alpha: float = ALPHA) -> Sequential | None:
    """State of a comparison after `deltas` (a - b, one for each task in drawn order). None before the first.

    `margin` is the difference that would not matter; without one a comparison of equals stays open.
    """
    found = np.asarray(deltas, dtype=np.float64)
    if not found.size:
        return None
    if np.abs(found).max() > 1:
        raise ValueError("differences lie within -1 and 1")
    largest = float(np.exp(evidence(found).max()))
    interval = _interval(found, alpha)
    verdict: Verdict = "open"
    if margin is not None and -margin < interval.low and interval.high < margin:
        verdict = "alike"
    elif interval.low > 0 or interval.high < 0:
        verdict = "a is better" if interval.low > 0 else "b is better"
    return Sequential(len(found), verdict, min(1.0, 1 / largest), interval)


def evidence(deltas: Floats, mean: float = 0.0) -> Floats:
    """Logarithm of the money after each task, of a bet against `mean`; tasks along the last axis."""
    # a stake that would lose all at a difference of -1 or 1 is out of reach, however near `mean` is to that end
    room = np.where(_STAKES >= 0, 1 + mean, 1 - mean) + 1e-9
    stakes = (_STAKES / room)[:, None]
    return _log_mean(np.log1p((deltas[..., None, :] - mean) * stakes).cumsum(axis=-1))


def _interval(deltas: Floats, alpha: float) -> Interval:
    """The means against which no bet has ever reached 1 / alpha."""
    money = np.array([evidence(deltas, float(mean)).max() for mean in _MEANS])
    kept = _MEANS[money < max(np.log(1 / alpha), money.min() + 1e-9)]
    step = _MEANS[1] - _MEANS[0]
    # the edge lies between two candidate means: the outer one is the safe side
    return Interval(max(-1.0, float(kept[0] - step)), min(1.0, float(kept[-1] + step)))


def _log_mean(logs: Floats) -> Floats:
    """Over the stakes, the last axis but one."""
    top = logs.max(axis=-2, keepdims=True)
    return top[..., 0, :] + np.log(np.exp(logs - top).mean(axis=-2))
