from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS

from scoring.statistics import clustered_se, icc1
from tests.support.scored_datasets import airline

CLUSTERED = st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 6)), min_size=8, max_size=60)


@given(CLUSTERED)
def test_clustered_error_equals_statsmodels_cluster_robust_covariance(rows: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    if len(set(clusters)) < 2 or np.ptp(values) < 1e-3:
        return
    fitted = OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(clusters), "use_correction": True, "df_correction": True}
    )
    # statsmodels' small-sample factor is C / (C - 1) * (n - 1) / (n - k), with k = 1 the same as ours
    assert clustered_se(values, clusters) == pytest.approx(fitted.bse[0], abs=1e-9)


def inspect_clustered_variance(values: list[float], clusters: list[str]) -> float:
    """As Inspect AI writes it in `scorer/_metrics/std.py`: outer products cluster by cluster, then C / (C - 1)."""
    mean, names = float(np.mean(values)), np.array(clusters)
    total = 0.0
    for name in np.unique(names):
        inside = np.array(values)[names == name]
        total += float(np.outer(inside - mean, inside - mean).sum())
    count = len(np.unique(names))
    return total * count / (count - 1) / len(values) ** 2


def test_airline_error_equals_inspects_formula() -> None:
    _, runs, _ = airline()
    values, tasks = [float(run.checks[0].passed or 0) for run in runs], [run.task for run in runs]
    ours = clustered_se(values, tasks)
    assert ours is not None
    assert ours**2 == pytest.approx(inspect_clustered_variance(values, tasks), abs=1e-12)
    assert icc1(values, tasks) == pytest.approx(0.405, abs=5e-4)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 5)), min_size=6, max_size=40))
def test_icc_equals_the_f_of_scipys_analysis_of_variance(rows: list[tuple[int, int]]) -> None:
    groups = [[value for value, other in rows if other == task] for task in sorted({task for _, task in rows})]
    n = len(rows)
    if len(groups) < 2 or len(groups) == n or all(len(set(group)) == 1 for group in groups):
        return
    f = float(stats.f_oneway(*groups).statistic)
    k = (n - sum(len(group) ** 2 for group in groups) / n) / (len(groups) - 1)
    ours = icc1([float(value) for value, _ in rows], [task for _, task in rows])
    assert ours == pytest.approx((f - 1) / (f - 1 + k), abs=1e-9)


def test_icc_of_trials_that_always_agree_is_1_and_unknown_without_repeats_or_spread() -> None:
    assert icc1([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]) == 1.0
    assert icc1([1.0, 0.0], ["a", "b"]) is None
    assert icc1([1.0, 0.0], ["a", "a"]) is None
    assert icc1([1.0] * 4, ["a", "a", "b", "b"]) is None
