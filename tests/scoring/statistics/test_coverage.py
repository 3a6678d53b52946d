"""Intervals cover the truth at 95 +- 1 %, tests keep their level: simulations with pinned seeds, n stated in each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scoring.estimates import rate
from scoring.statistics import equivalent_pairs, paired_difference
from scoring.statistics.permutation import sign_flip_test
from scoring.statistics.resampling import Method, bootstrap_mean

SETS = 3000
"""Simulated data sets; the coverage of a true 95 % interval then has a standard error of 0.4 points."""


def test_paired_t_interval_covers() -> None:
    """3,000 sets of 60 tasks, means of 3 trials, true difference 0.1."""
    chance = np.random.default_rng(11)
    hard = chance.beta(2, 2, (SETS, 60))
    a = chance.binomial(3, hard * 0.8 + 0.2) / 3
    b = chance.binomial(3, hard * 0.8 + 0.1) / 3
    found = [paired_difference(x.tolist(), y.tolist()) for x, y in zip(a[:1000], b[:1000], strict=True)]
    low, high = np.array([p.interval for p in found if p and p.interval]).T
    ours = ((low <= 0.1) & (high >= 0.1)).mean()
    deltas = a - b
    reach = stats.t.ppf(0.975, 59) * deltas.std(axis=1, ddof=1) / np.sqrt(60)
    every = (np.abs(deltas.mean(axis=1) - 0.1) <= reach).mean()
    assert ours == (np.abs(deltas.mean(axis=1) - 0.1) <= reach)[:1000].mean()
    assert 0.94 <= every <= 0.96


def test_clustered_wilson_interval_covers_where_the_naive_one_does_not() -> None:
    """3,000 sets of 50 tasks x 4 trials, rate 0.42, ICC 0.4: as tau-bench airline."""
    chance = np.random.default_rng(12)
    sets = 3000
    each = chance.beta(0.42 * 1.5, 0.58 * 1.5, (sets, 50, 1))
    passed = chance.random((sets, 50, 4)) < each
    tasks = [str(task) for task in range(50) for _ in range(4)]
    found = [rate(one.ravel().tolist(), tasks) for one in passed]
    covered = np.mean([(e.low or 0) <= 0.42 <= (e.high or 0) for e in found])
    flat = passed.reshape(sets, -1).mean(axis=1)
    naive = (np.abs(flat - 0.42) <= 1.96 * np.sqrt(flat * (1 - flat) / 200)).mean()
    assert 0.94 <= covered <= 0.96
    assert naive < 0.85


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_cluster_bootstrap_covers(method: Method) -> None:
    """2,000 sets of 80 tasks x 2 trials, 399 resamples each."""
    chance = np.random.default_rng(13)
    each = chance.beta(2, 2, (2000, 80, 1))
    passed = (chance.random((2000, 80, 2)) < each).astype(float).reshape(2000, -1)
    tasks = [task for task in range(80) for _ in range(2)]
    found = [bootstrap_mean(one.tolist(), tasks, seed=i, method=method, resamples=399) for i, one in enumerate(passed)]
    low, high = np.array(found).T
    assert 0.94 <= ((low <= 0.5) & (high >= 0.5)).mean() <= 0.96


def test_permutation_test_keeps_its_level() -> None:
    """3,000 sets of 14 tasks without a true difference, skewed: never more than 5 % may be called different."""
    chance = np.random.default_rng(14)
    deltas = chance.exponential(size=(SETS, 14)) - chance.exponential(size=(SETS, 14))
    p_values = [found.p_value for one in deltas if (found := sign_flip_test(one.tolist(), seed=0))]
    assert 0.04 <= np.mean(np.array(p_values) <= 0.05) <= 0.06


def test_equivalence_of_pairs_keeps_its_level_at_the_margin() -> None:
    """20,000 sets of 200 tasks whose rates truly differ by the margin of 10 points."""
    chance = np.random.default_rng(15)
    counts = chance.multinomial(200, [0.15, 0.05, 0.8], 20_000)
    unique, times = np.unique(counts[:, :2], axis=0, return_counts=True)
    called = sum(
        int(n)
        for (only_a, only_b), n in zip(unique.tolist(), times, strict=True)
        if (found := equivalent_pairs(only_a, only_b, 200, 0.1)) and found.is_equivalent
    )
    assert 0.04 <= called / 20_000 <= 0.06
