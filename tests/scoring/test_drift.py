from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from scoring.drift import SUCCESS, Drift, Measured, Sample, Thresholds, find_drift, sample_of
from tests.support.scored_runs import attempt, calls, run, says, step, tool_step, trajectory


def sample(
    task: int, passed: bool | None = True, tools: Mapping[str, int] | None = None, **values: float | None
) -> Sample:
    return Sample(str(task), passed, values, tools or {})


def drift(before: list[Sample], after: list[Sample], **thresholds: float) -> Drift:
    return find_drift(before, after, Thresholds(**thresholds), bakeoff="b", candidate="m")


def named(found: Drift, name: str) -> Measured:
    return next(one for one in found.measures if one.name == name)


def spread(n: int, mean: float, seed: int, first: int = 0) -> list[Sample]:
    values = np.random.default_rng(seed).normal(mean, 0.1 * mean, n)
    return [sample(first + i, True, {}, tokens=float(value)) for i, value in enumerate(values)]


def test_more_tokens_than_the_threshold_allows_is_drift() -> None:
    found = drift(spread(40, 1000, 1), spread(40, 1500, 2, first=100))
    one = named(found, "tokens")
    assert (one.status, found.has_drifted, found.is_paired) == ("drifted", True, False)
    assert one.difference.value == pytest.approx(500, abs=60)
    assert found.conclusion == "Production has drifted from the bake-off: tokens."


def test_a_shown_but_small_increase_holds_and_fewer_tokens_are_an_improvement() -> None:
    small = drift(spread(200, 1000, 1), spread(200, 1060, 2, first=900))
    fewer = drift(spread(40, 1000, 1), spread(40, 700, 2, first=100))
    assert (named(small, "tokens").p_holm or 1) < 0.05
    assert named(small, "tokens").status == "holds"
    assert named(fewer, "tokens").status == "improved"
    assert not small.has_drifted


def test_few_runs_leave_it_open_and_do_not_call_it_the_same() -> None:
    found = drift([sample(i, i % 2 == 0) for i in range(8)], [sample(50 + i, i % 3 == 0) for i in range(8)])
    assert named(found, SUCCESS).status == "open"
    assert found.conclusion == "No drift is shown; these runs cannot exclude it for success rate."


def test_lost_success_is_drift_by_fishers_test_on_other_tasks() -> None:
    found = drift([sample(i, i < 36) for i in range(40)], [sample(100 + i, i < 20) for i in range(40)])
    one = named(found, SUCCESS)
    assert one.status == "drifted"
    assert one.p_value == pytest.approx(stats.fisher_exact([[36, 4], [20, 20]]).pvalue, abs=1e-12)
    assert found.cautions[0].startswith("40 of 40 production runs are of tasks that the bake-off did not have")


def test_same_tasks_are_paired_which_sees_what_the_unpaired_test_does_not() -> None:
    hard = np.random.default_rng(4).uniform(100, 3000, 30)
    before = [sample(i, tokens=float(value)) for i, value in enumerate(hard)]
    after = [sample(i, tokens=float(value * 1.3)) for i, value in enumerate(hard)]
    elsewhere = [sample(100 + i, tokens=float(value * 1.3)) for i, value in enumerate(hard)]
    paired, unpaired = drift(before, after), drift(before, elsewhere)
    assert (paired.is_paired, named(paired, "tokens").status) == (True, "drifted")
    assert (unpaired.is_paired, named(unpaired, "tokens").status) == (False, "open")


def test_a_tool_that_production_stopped_calling_is_drift_too() -> None:
    before = [sample(i, tools={"look_up": 1, "verify": 1}) for i in range(20)]
    after = [sample(100 + i, tools={"look_up": 1}) for i in range(20)]
    found = drift(before, after)
    assert named(found, "calls of verify").status == "drifted"
    assert named(found, "calls of look_up").status == "holds"


def test_unknown_values_and_outcomes_are_unknown_never_0() -> None:
    before = [sample(i, True, {}, tokens=None) for i in range(5)]
    after = [sample(100 + i, None, {}, tokens=5.0) for i in range(5)]
    found = drift(before, after)
    assert {one.status for one in found.measures} == {"unknown"}
    assert named(found, SUCCESS).after.value is None
    assert found.cautions[1].startswith("5 of 5 production runs have no decided outcome")


def test_equals_are_called_drifted_in_at_most_5_of_100_cases() -> None:
    """250 comparisons of equals, nine measures each, thresholds of 0 so that only the tests hold it back."""
    chance, called = np.random.default_rng(9), 0
    for _ in range(250):
        sides = [
            [
                sample(n * 100 + i, bool(p), {}, **{f"m{k}": float(v) for k, v in enumerate(values)})
                for i, (p, values) in enumerate(
                    zip(chance.random(20) < 0.6, chance.exponential(size=(20, 8)), strict=True)
                )
            ]
            for n in range(2)
        ]
        called += drift(*sides, success_drop=0.0, increase=0.0).has_drifted
    assert called / 250 <= 0.05


def test_a_sample_is_read_from_a_run_and_its_trajectory() -> None:
    path = trajectory(
        step(attempt(429), attempt(answer=calls("look_up", "look_up"), number=2)),
        tool_step("look_up", index=1),
        step(attempt(answer=says("done")), index=2),
    )
    found = sample_of(run(True), path)
    assert (found.passed, found.tools) == (True, {"look_up": 2})
    assert (found.values["retries per run"], found.values["tokens in per run"]) == (1, 200)
    assert sample_of(run(None, status="harness_error"), None).passed is None
    assert sample_of(run(True), None).values["retries per run"] is None
