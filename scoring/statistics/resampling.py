"""Bootstrap intervals of a mean, seeded: whole clusters are drawn, so that trials of one task stay together.

Percentile intervals are the simplest; BCa corrects them for bias and skew (Efron 1987). Both are too narrow on few
clusters: with 10 tasks a t interval says more.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np

from scoring.statistics.intervals import CONFIDENCE, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Method = Literal["percentile", "bca"]
RESAMPLES = 9_999
_INDICES_AT_ONCE = 1 << 22
"""Keeps the memory of one batch of draws near 64 MB."""


def bootstrap_mean(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    seed: int,
    method: Method = "bca",
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Interval of the mean over `values`; `clusters` names the task of each, None makes each value its own.

    The same seed gives the same interval. None below two clusters, and where the clusters do not differ: without
    spread a bootstrap would claim certainty.
    """
    sums, sizes = _by_cluster(values, clusters)
    if len(sums) < 2:
        return None
    replicates = _replicates(sums, sizes, seed, resamples)
    if replicates[0] == replicates[-1]:
        return None
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca":
        tails = _corrected(tails, replicates, sums, sizes)
    low, high = np.quantile(replicates, tails)
    return Interval(float(low), float(high))


def _by_cluster(values: Sequence[float], clusters: Sequence[Hashable] | None) -> tuple[Floats, Floats]:
    """Sum and number of the values of each cluster, in the order in which they appear."""
    names = range(len(values)) if clusters is None else clusters
    place: dict[Hashable, int] = {}
    index = [place.setdefault(name, len(place)) for _, name in zip(values, names, strict=True)]
    sums = np.bincount(index, weights=values, minlength=len(place)) if index else np.zeros(0)
    return sums, np.bincount(index, minlength=len(place)).astype(np.float64) if index else np.zeros(0)


def _replicates(sums: Floats, sizes: Floats, seed: int, resamples: int) -> Floats:
    """Means of resampled clusters, in ascending order."""
    chance, count = np.random.default_rng(seed), len(sums)
    at_once = max(1, _INDICES_AT_ONCE // count)
    parts = []
    for start in range(0, resamples, at_once):
        drawn = chance.integers(0, count, (min(at_once, resamples - start), count))
        parts.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.sort(np.concatenate(parts))


def _corrected(tails: Floats, replicates: Floats, sums: Floats, sizes: Floats) -> Floats:
    """The quantiles that BCa takes instead: bias from the replicates below the mean, skew from the jackknife."""
    normal, n = NormalDist(), len(replicates)
    mean = sums.sum() / sizes.sum()
    below = np.searchsorted(replicates, mean, "left") + np.searchsorted(replicates, mean, "right")
    bias = normal.inv_cdf(min(max(below / (2 * n), 0.5 / n), 1 - 0.5 / n))
    left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
    away = left_out.mean() - left_out
    skew = float((away**3).sum() / (6 * (away**2).sum() ** 1.5))
    reach = [bias + normal.inv_cdf(float(tail)) for tail in tails]
    return np.array([normal.cdf(bias + r / (1 - skew * r)) for r in reach])
