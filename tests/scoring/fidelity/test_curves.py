from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.fidelity.curves import LEAST_RUNS, THRESHOLDS, fidelity_flips
from scoring.fidelity.model import FidelityCurve
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.scored_runs import bakeoff, run
from trajectory.runs import Bakeoff, Fidelity, Run, Served

TASKS = [f"t{i}" for i in range(12)]


def results(trusted: int, others: int, other: Fidelity = "missing") -> tuple[Served, ...]:
    names: list[Fidelity] = ["exact"] * trusted + [other] * others
    return tuple(Served(tool="t", arguments="{}", fidelity=one) for one in names)


def curves(card: Scorecard) -> dict[tuple[str, str], FidelityCurve]:
    return {(curve.candidate, curve.trust): curve for curve in card.fidelity_curves}


def numbers(card: Scorecard) -> dict[str, float | None]:
    """Of all curves, each under a name of its own."""
    return {
        f"{curve.candidate} {curve.trust} {at}": value
        for curve in card.fidelity_curves
        for estimates in [[curve.slope, *(one for point in curve.points for one in (point.success, point.score))]]
        for at, value in enumerate(value for one in estimates for value in (one.value, one.low, one.high))
    }


@st.composite
def baked(draw: st.DrawFn) -> tuple[Bakeoff, list[Run]]:
    """Two candidates, four tasks, three trials, tool results of every kind, some runs broken by the harness."""
    kind = st.sampled_from(("exact", "canonical", "pooled", "simulated", "live", "written", "missing"))
    one = st.builds(Served, tool=st.just("t"), arguments=st.just("{}"), fidelity=kind, may_be_stale=st.booleans())
    runs = [
        run(
            draw(st.sampled_from((True, False, None))),
            name=name,
            task=task,
            trial=trial,
            served=tuple(draw(st.lists(one, max_size=3))),
            status=draw(st.sampled_from(("finished", "finished", "harness_error"))),
        )
        for name in ("a", "b")
        for task in TASKS[:4]
        for trial in range(3)
    ]
    return bakeoff(["a", "b"], TASKS[:4], 3), runs


@settings(max_examples=25, deadline=None)
@given(baked(), st.randoms(use_true_random=False))
def test_shares_sum_to_one_n_never_grows_and_the_order_of_runs_changes_nothing(
    made: tuple[Bakeoff, list[Run]], chance: random.Random
) -> None:
    plan, runs = made
    card = score(plan, runs, {})
    for row in card.candidates:
        shares = [share.value or 0.0 for share in row.shares.values()]
        assert sum(shares) == pytest.approx(1.0 if row.fidelity else 0.0)
    for curve in card.fidelity_curves:
        left = [(point.runs, point.scored, point.passed) for point in curve.points]
        assert left == sorted(left, reverse=True)
        assert [point.at_least for point in curve.points] == list(THRESHOLDS)
    shuffled = list(runs)
    chance.shuffle(shuffled)
    assert numbers(score(plan, shuffled, {})) == pytest.approx(numbers(card)), "but for the last digits of sums"


@settings(max_examples=25, deadline=None)
@given(baked(), st.sampled_from(THRESHOLDS))
def test_a_minimal_fidelity_gives_the_point_of_the_curve(made: tuple[Bakeoff, list[Run]], at_least: float) -> None:
    plan, runs = made
    widest = {curve.candidate: curve.at(at_least) for curve in score(plan, runs, {}).fidelity_curves}
    limited = score(plan, [one.model_copy(update={"min_fidelity": at_least}) for one in runs], {})
    for row in limited.candidates if widest else ():
        point = widest[row.candidate.name]
        assert (row.passed, row.passed + row.failed) == (point.passed, point.scored)
        if point.scored >= LEAST_RUNS:
            assert (point.success, point.score) == (row.success, row.score)
        else:
            assert (point.success.value, point.score.value, point.rank) == (None, None, None)


def steep(name: str, falling: bool) -> list[Run]:
    """Half of the runs rest on the tape to 100 %, half to 25 %; the former pass or, if `falling`, the latter."""
    return [
        run(whole is not falling, name=name, task=task, trial=trial, served=results(4, 0) if whole else results(1, 3))
        for task in TASKS
        for trial, whole in enumerate((True, False))
    ]


def test_a_ranking_that_turns_with_the_share_is_warned_of_with_its_numbers() -> None:
    weak = steep("real", falling=False)
    weak[1] = run(True, name="real", task=TASKS[0], trial=1, served=results(1, 3))  # 13 of 24
    strong = [
        run(
            not whole or i % 3 == 0,
            name="lucky",
            task=task,
            trial=trial,
            served=results(4, 0) if whole else results(1, 3),
        )
        for i, task in enumerate(TASKS)
        for trial, whole in enumerate((True, False))
    ]
    card = score(bakeoff(["real", "lucky"], TASKS, 2), [*weak, *strong], {})
    (flip,) = fidelity_flips(card.fidelity_curves)
    assert flip == ("lucky", "real", "recorded", 0.3)
    (caution,) = [one for one in card.cautions if one.kind == "fidelity_flip"]
    assert caution.text == (
        "The ranking flips on what the tool results rest on: lucky (66.7 %, 16 of 24) is ahead of real (54.2 %, 13 of "
        "24) over all runs, and behind it (33.3 %, 4 of 12, against 100.0 %, 12 of 12) where at least 30 % of a run's "
        "tool results are exact or canonical."
    )
    assert caution.numbers["lucky.0.3.passed"] == 4.0
    ranks = {name: [point.rank for point in curves(card)[name, "recorded"].points] for name in ("real", "lucky")}
    assert ranks == {"real": [2, 2, 2] + [1] * 8, "lucky": [1, 1, 1] + [2] * 8}


@pytest.mark.parametrize("others", [results(4, 0), results(1, 3)])
def test_no_flip_is_claimed_where_the_order_stays(others: Sequence[Served]) -> None:
    best = [run(True, name="best", task=task, served=results(4, 0)) for task in TASKS]
    rest = [run(i % 2 == 0, name="rest", task=task, served=others) for i, task in enumerate(TASKS)]
    assert fidelity_flips(score(bakeoff(["best", "rest"], TASKS), [*best, *rest], {}).fidelity_curves) == ()


def test_the_slope_says_how_success_goes_with_the_share_within_tasks() -> None:
    runs = steep("m", falling=False)
    runs[0] = run(False, task=TASKS[0], trial=0, name="m", served=results(4, 0))
    slope = curves(score(bakeoff(["m"], TASKS, 2), runs, {}))["m", "recorded"].slope
    assert slope.value == pytest.approx(11 / 12 / 0.75)
    assert slope.low is not None
    assert slope.low > 0.5
    assert (slope.n, "slope within 12 tasks" in slope.method) == (24, True)


def test_a_share_that_only_differs_between_tasks_says_nothing_of_success() -> None:
    """Hard tasks are those nobody recorded: the slope over all runs would be 1, and mean nothing."""
    runs = [
        run(i < 6, task=task, trial=trial, served=results(4, 0) if i < 6 else results(1, 3))
        for i, task in enumerate(TASKS)
        for trial in range(2)
    ]
    slope = curves(score(bakeoff(["m"], TASKS, 2), runs, {}))["m", "recorded"].slope
    assert slope.value is None
    assert slope.unknown_because == "0 tasks have scored runs of different shares, fewer than 10"


def test_no_tool_result_from_a_replay_no_curve() -> None:
    assert score(bakeoff(["m"], ["t1"]), [run(True)], {}).fidelity_curves == ()
