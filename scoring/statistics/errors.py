"""Standard errors of a mean, and how much runs of one task resemble each other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence


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


def icc1(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """ICC(1): share of the variance that lies between clusters; can be negative. Shrout and Fleiss 1979.

    (MSB - MSW) / (MSB + (k - 1) MSW) of a one-way layout; where clusters differ in size, k is (n - sum n_i^2 / n) /
    (C - 1). None below two clusters, without a cluster of two values, and without any spread.
    """
    groups: defaultdict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        groups[cluster].append(value)
    n, count = len(values), len(groups)
    if count < 2 or n == count:
        return None
    mean = math.fsum(values) / n
    means = {cluster: math.fsum(group) / len(group) for cluster, group in groups.items()}
    between = math.fsum(len(groups[c]) * (m - mean) ** 2 for c, m in means.items()) / (count - 1)
    within = math.fsum((v - means[c]) ** 2 for c, group in groups.items() for v in group) / (n - count)
    size = (n - sum(len(group) ** 2 for group in groups.values()) / n) / (count - 1)
    total = between + (size - 1) * within
    return (between - within) / total if total > 0 else None
