from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.efficiency import (
    Input,
    Inputs,
    Weights,
    efficiency,
    estimate_efficiency,
    estimate_score,
    score,
    score_formula,
)
from scoring.estimates import mean, rate, unknown
from tests.support.scored_runs import bakeoff

WEIGHTS = Weights()


def inputs(passed: list[bool], memory: list[float], calls: list[float], oom: list[bool], timeout: list[bool]) -> Inputs:
    tasks = [f"t{i}" for i in range(len(passed))]
    return Inputs(
        success_rate=Input(rate(passed, tasks), [float(p) for p in passed], tasks),
        mean_peak_memory_mb=Input(mean(memory, tasks), memory, tasks),
        mean_tool_calls=Input(mean(calls, tasks), calls, tasks),
        oom_rate=Input(rate(oom, tasks), [float(o) for o in oom], tasks),
        timeout_rate=Input(rate(timeout, tasks), [float(t) for t in timeout], tasks),
        near_ceiling=Input(mean([0.5] * len(tasks), tasks), [0.5] * len(tasks), tasks),
    )


def test_the_formulas_are_those_of_the_interface() -> None:
    assert efficiency(0.8, 512, 5) == pytest.approx(0.8 / (1 + 0.5 + 0.5))
    assert score(0.8, 0.4, 0.1, 0.05, WEIGHTS) == pytest.approx(0.6 * 0.8 + 0.4 * 0.4 - 0.1 - 0.8 * 0.05)


def test_estimates_put_the_means_into_the_formulas() -> None:
    made = inputs([True] * 8 + [False] * 2, [512.0] * 10, [4.0, 6.0] * 5, [False] * 9 + [True], [False] * 10)
    assert estimate_efficiency(made).value == pytest.approx(efficiency(0.8, 512, 5))
    assert estimate_score(made, WEIGHTS).value == pytest.approx(score(0.8, 0.4, 0.1, 0.0, WEIGHTS))
    assert estimate_score(made, WEIGHTS).n == 10


def test_an_unknown_input_makes_the_result_unknown_and_says_which() -> None:
    made = inputs([True, False], [1.0, 2.0], [1.0, 1.0], [False] * 2, [False] * 2)
    lacking = Inputs(
        success_rate=made.success_rate,
        mean_peak_memory_mb=Input(unknown("1 of 2 runs have no record of peak memory"), [1.0], ["t0"]),
        mean_tool_calls=made.mean_tool_calls,
        oom_rate=made.oom_rate,
        timeout_rate=made.timeout_rate,
        near_ceiling=made.near_ceiling,
    )
    for estimate in (estimate_efficiency(lacking), estimate_score(lacking, WEIGHTS)):
        assert estimate.value is None
        assert estimate.unknown_because == "mean_peak_memory_mb is unknown: 1 of 2 runs have no record of peak memory"


def test_memory_near_its_limit_costs_nothing_unless_a_weight_says_so() -> None:
    made = inputs([True] * 8 + [False] * 2, [512.0] * 10, [4.0, 6.0] * 5, [False] * 10, [False] * 10)
    weighed = Weights(penalty_near_ceiling=0.2)
    plain, charged = estimate_score(made, WEIGHTS).value, estimate_score(made, weighed).value
    assert plain is not None
    assert charged == pytest.approx(plain - 0.2 * 0.5)
    assert "near_ceiling" not in score_formula(WEIGHTS)
    assert score_formula(weighed).endswith("- penalty_near_ceiling * near_ceiling")


def test_success_alone_gives_the_wilson_limits_scaled() -> None:
    made = inputs([True] * 7 + [False] * 3, [0.0] * 10, [0.0] * 10, [False] * 10, [False] * 10)
    only_success = Weights(success_weight=1, efficiency_weight=0, penalty_oom=0, penalty_timeout=0)
    estimate, wilson = estimate_score(made, only_success), made.success_rate.estimate
    assert (estimate.low, estimate.high) == pytest.approx((wilson.low, wilson.high))


def test_twelve_of_twelve_is_not_reported_as_certain() -> None:
    made = inputs([True] * 12, [100.0] * 12, [2.0] * 12, [False] * 12, [False] * 12)
    estimate = estimate_score(made, WEIGHTS)
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.low < estimate.value - 0.15


@given(st.lists(st.tuples(st.booleans(), st.floats(1, 4000), st.floats(0, 50)), min_size=2, max_size=30))
def test_the_interval_holds_the_score(runs: list[tuple[bool, float, float]]) -> None:
    n = len(runs)
    made = inputs([p for p, _, _ in runs], [m for _, m, _ in runs], [c for _, _, c in runs], [False] * n, [False] * n)
    estimate = estimate_score(made, WEIGHTS)
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.value <= estimate.high


def test_the_interval_covers_the_true_score_about_as_often_as_it_says() -> None:
    """40 tasks; a run out of memory always fails, so success and penalty are correlated as in real bake-offs."""
    source = random.Random(7)
    memory_mean, call_mean, oom, success = 300.0, 5.0, 0.15, 0.85 * 0.75
    truth = score(success, efficiency(success, memory_mean, call_mean), oom, 0.1, WEIGHTS)
    covered, repeats = 0, 400
    for _ in range(repeats):
        ooms = [source.random() < oom for _ in range(40)]
        passed = [not o and source.random() < 0.75 for o in ooms]
        memory = [source.gauss(memory_mean, 60) for _ in range(40)]
        calls = [float(source.randint(3, 7)) for _ in range(40)]
        timeouts = [source.random() < 0.1 for _ in range(40)]
        estimate = estimate_score(inputs(passed, memory, calls, ooms, timeouts), WEIGHTS)
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= truth <= estimate.high
    assert 0.92 <= covered / repeats <= 0.98, covered / repeats


def test_weights_come_from_the_bakeoff_and_default_to_the_interface() -> None:
    assert Weights.of(bakeoff(["a"], ["t"], weights={"penalty_oom": 2.0})) == Weights(penalty_oom=2.0)
    assert Weights() == Weights(success_weight=0.6, efficiency_weight=0.4, penalty_oom=1.0, penalty_timeout=0.8)
