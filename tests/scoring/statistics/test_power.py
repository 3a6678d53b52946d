from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import normal_sample_size_one_tail

from scoring.statistics import Spread, detectable_difference, detectable_in_pairs, spread_of_rates, tasks_needed


@given(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 8), st.floats(0.02, 0.6))
def test_tasks_needed_equal_statsmodels(between: float, a: float, b: float, trials: int, difference: float) -> None:
    spread = Spread(between, a, b)
    theirs = normal_sample_size_one_tail(difference, 0.8, 0.025, std_null=math.sqrt(spread.of_trials(trials)))
    assert tasks_needed(spread, difference, trials) == math.ceil(theirs - 1e-9)


@given(st.floats(0.05, 0.95), st.floats(0, 1), st.integers(1, 400), st.integers(1, 8))
def test_detectable_difference_and_tasks_needed_invert_each_other(rate: float, icc: float, n: int, k: int) -> None:
    spread = spread_of_rates(rate, icc)
    found = detectable_difference(spread, n, k)
    assert found is not None
    assert tasks_needed(spread, found * (1 + 1e-9), k) == n


@pytest.mark.parametrize(("pairs", "discordant"), [(100, 0.36), (25, 0.4), (500, 0.1)])
def test_detectable_in_pairs_solves_connors_equation(pairs: int, discordant: float) -> None:
    found = detectable_in_pairs(pairs, discordant)
    assert found is not None
    needed = normal_sample_size_one_tail(
        found, 0.8, 0.025, std_null=math.sqrt(discordant), std_alternative=math.sqrt(discordant - found**2)
    )
    assert needed == pytest.approx(pairs, abs=1e-6)


def test_airline_sized_bakeoff_sees_nothing_below_20_points() -> None:
    """50 tasks, 4 trials, rate 0.42, ICC 0.405, tasks as hard for one as for the other: nothing is known of that."""
    found = detectable_difference(spread_of_rates(0.42, 0.405), 50, 4)
    assert found == pytest.approx(0.2057, abs=1e-3)
    alike = detectable_difference(spread_of_rates(0.42, 0.405, likeness=1.0), 50, 4)
    assert alike is not None
    assert found is not None
    assert alike < found


def test_more_trials_help_only_against_the_spread_within_tasks() -> None:
    flaky, fixed = Spread(0.0, 0.2, 0.2), Spread(0.4, 0.0, 0.0)
    assert detectable_difference(flaky, 50, 4) == pytest.approx((detectable_difference(flaky, 50) or 0) / 2)
    assert detectable_difference(fixed, 50, 4) == detectable_difference(fixed, 50)


def test_tasks_in_clusters_are_worth_fewer() -> None:
    alone, clustered = Spread(0.2, 0.1, 0.1), Spread(0.2, 0.1, 0.1, cluster_size=5, icc=0.25)
    assert tasks_needed(clustered, 0.1) == pytest.approx(2 * tasks_needed(alone, 0.1), abs=1)


def test_what_no_result_could_show_is_unknown() -> None:
    assert detectable_difference(spread_of_rates(0.5, 0.4), 0) is None
    assert detectable_in_pairs(10, 0.1) is None
    assert detectable_in_pairs(0, 0.5) is None
