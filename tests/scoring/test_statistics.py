from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scoring.statistics import (
    clustered_se,
    correlation,
    design_effect,
    effective_n,
    holm,
    mcnemar_exact,
    naive_se,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    wilson,
)


@given(st.integers(1, 2000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    passed = data.draw(st.integers(0, n))
    ours = wilson(passed / n, n, confidence)
    theirs = stats.binomtest(passed, n).proportion_ci(confidence, method="wilson")
    assert ours is not None
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


@given(st.integers(0, 150), st.integers(0, 150))
def test_mcnemar_equals_scipys_binomial_test(only_a: int, only_b: int) -> None:
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("pair", "p"), [((25, 11), 0.0288), ((5, 0), 0.0625), ((0, 0), 1.0), ((6, 0), 0.03125)])
def test_mcnemar_of_known_tables(pair: tuple[int, int], p: float) -> None:
    assert mcnemar_exact(*pair) == pytest.approx(p, abs=5e-5)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=60))
def test_naive_error_equals_scipys(values: list[float]) -> None:
    assert naive_se(values) == pytest.approx(float(stats.sem(values)), abs=1e-9)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=40))
def test_clusters_of_one_give_the_naive_error(values: list[float]) -> None:
    assert clustered_se(values, list(range(len(values)))) == pytest.approx(naive_se(values), abs=1e-9)


def test_clustered_error_equals_the_double_sum_of_the_paper() -> None:
    values, clusters = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b", "b", "c"]
    mean = sum(values) / 6
    pairs = itertools.product(zip(values, clusters, strict=True), repeat=2)
    double = sum((x - mean) * (y - mean) for (x, a), (y, b) in pairs if a == b)
    assert clustered_se(values, clusters) == pytest.approx(math.sqrt(3 / 2 * double) / 6, abs=1e-12)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=40))
def test_paired_difference_equals_scipys_paired_t(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    ours = paired_difference(a, b)
    assert ours is not None
    if ours.se is None or ours.se < 1e-6:
        return
    theirs = stats.ttest_rel(a, b)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-9)
    assert ours.interval is not None
    low, high = theirs.confidence_interval(0.95)
    assert ours.interval.low == pytest.approx(low, abs=1e-6)
    assert ours.interval.high == pytest.approx(high, abs=1e-6)


@given(st.integers(1, 7), st.data())
def test_pass_k_equals_drawing_every_subset(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    trials = [True] * c + [False] * (n - c)
    draws = list(itertools.combinations(trials, k))
    assert pass_hat_k([(c, n)], k) == pytest.approx(sum(map(all, draws)) / len(draws), abs=1e-12)
    assert pass_at_k([(c, n)], k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)


def test_holm_steps_down_and_keeps_the_order_and_the_unknown() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx((0.03, None, 0.06, 0.06))
    assert holm([0.9, 0.8]) == (1.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = [p for p in holm(p_values) if p is not None]
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_too_little_data_is_unknown_never_0() -> None:
    assert naive_se([1.0]) is None
    assert clustered_se([1.0, 0.0], ["a", "a"]) is None
    assert wilson(0.0, 0) is None
    assert paired_difference([], []) is None
    assert pass_hat_k([], 1) is None
    assert pass_hat_k([(3, 3), (1, 2)], 3) is None
    assert pass_at_k([(3, 3), (1, 2)], 3) is None
    assert correlation([1.0, 1.0], [0.0, 1.0]) is None
    assert design_effect(0.0, 0.0) is None
    single = paired_difference([1.0], [0.0])
    assert single is not None
    assert (single.mean, single.se, single.interval, single.p_value) == (1.0, None, None, None)


def test_pass_k_refuses_k_below_1() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        pass_hat_k([(1, 1)], 0)


def test_trials_that_always_agree_count_once_and_independent_ones_fully() -> None:
    agreeing = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    tasks = [f"t{i // 2}" for i in range(8)]
    assert effective_n(agreeing, tasks) == pytest.approx(4.0, rel=0.2)
    assert effective_n([1.0] * 8, tasks) == 4.0
    assert effective_n(agreeing, list(range(8))) == pytest.approx(8.0)


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    """Exact coverage by summing the binomial, averaged over rates: no simulation, so no luck."""
    covered = Counter[int]()
    rates = [i / 100 for i in range(5, 96)]
    for n in (25, 100):
        total = 0.0
        for truth in rates:
            for passed in range(n + 1):
                interval = wilson(passed / n, n)
                assert interval is not None
                if interval.low <= truth <= interval.high:
                    total += math.comb(n, passed) * truth**passed * (1 - truth) ** (n - passed)
        covered[n] = round(1000 * total / len(rates))
    assert all(940 <= share <= 960 for share in covered.values()), covered
