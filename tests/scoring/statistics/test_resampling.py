from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scoring.statistics.resampling import Method, bootstrap_mean

SKEWED = list(np.random.default_rng(1).exponential(size=40))


PASSES = [1.0] * 9 + [0.0] * 16
"""Of rates many draws give exactly the mean again."""


@pytest.mark.parametrize("values", [SKEWED, PASSES])
@pytest.mark.parametrize(("ours", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_interval_equals_scipys_with_the_same_draws(ours: Method, theirs: str, values: list[float]) -> None:
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=999, method=theirs, rng=np.random.default_rng(7)
    ).confidence_interval
    found = bootstrap_mean(values, seed=7, method=ours, resamples=999)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_whole_clusters_are_drawn_so_copies_of_a_run_add_no_certainty() -> None:
    values, tasks = [1.0, 0.0, 1.0, 0.0, 0.0], list("abcde")
    copied, copies = [v for v in values for _ in range(10)], [t for t in tasks for _ in range(10)]
    assert bootstrap_mean(copied, copies, seed=3) == pytest.approx(bootstrap_mean(values, tasks, seed=3))


def test_interval_does_not_depend_on_how_many_draws_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_mean(SKEWED, seed=5, resamples=1000)
    monkeypatch.setattr("scoring.statistics.resampling._INDICES_AT_ONCE", 999)
    assert bootstrap_mean(SKEWED, seed=5, resamples=1000) == whole


def test_same_seed_same_interval_other_seed_another() -> None:
    assert bootstrap_mean(SKEWED, seed=1) == bootstrap_mean(SKEWED, seed=1)
    assert bootstrap_mean(SKEWED, seed=1) != bootstrap_mean(SKEWED, seed=2)


def test_too_few_clusters_or_no_spread_is_unknown() -> None:
    assert bootstrap_mean([], seed=1) is None
    assert bootstrap_mean([1.0, 2.0], ["a", "a"], seed=1) is None
    assert bootstrap_mean([1.0, 1.0, 1.0], seed=1) is None
