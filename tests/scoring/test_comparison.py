from __future__ import annotations

import pytest

from scoring.comparison import is_different
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.scored_runs import table
from trajectory.runs import Run


def scored(results: dict[str, dict[str, list[bool | None]]], **changes: dict[str, object]) -> Scorecard:
    """`changes` are applied to the runs named `candidate__task`."""
    bakeoff, runs = table(results)
    changed = [_changed(run, changes.get(f"{run.candidate.name}__{run.task}")) for run in runs]
    return score(bakeoff, changed, {})


def _changed(run: Run, fields: dict[str, object] | None) -> Run:
    return run.model_copy(update=fields) if fields else run


def test_one_trial_per_task_is_tested_by_mcnemar_on_the_discordant_tasks() -> None:
    card = scored(
        {
            "a": {f"t{i}": [i != 9] for i in range(10)},
            "b": {f"t{i}": [i in (0, 1, 9)] for i in range(10)},
        }
    )
    result = card.pairs[0].as_scored
    assert result.test == "exact McNemar, two-sided"
    assert (len(result.only_a), result.only_b) == (7, ("t9",))
    assert result.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    assert result.difference.value == pytest.approx(0.6)


def test_several_trials_are_averaged_within_the_task_before_pairing() -> None:
    card = scored(
        {
            "a": {"t1": [True, True], "t2": [True, False], "t3": [True, True], "t4": [False, True]},
            "b": {"t1": [True, False], "t2": [True, False], "t3": [False, False], "t4": [False, False]},
        }
    )
    result = card.pairs[0].as_scored
    assert result.test.startswith("paired t test over tasks")
    assert -1.0 <= (result.difference.low or 0.0) < (result.difference.high or 0.0) == 1.0, "and no more than all tasks"
    assert (result.tasks, result.passed_a, result.passed_b) == (4, 3.0, 1.0)
    assert result.difference.value == pytest.approx(0.5)
    assert result.p_value == pytest.approx(0.0917, abs=1e-4)


@pytest.mark.parametrize(("tasks", "is_shown"), [(5, False), (6, True)])
def test_where_all_tasks_differ_alike_the_signs_decide(tasks: int, is_shown: bool) -> None:
    """One that always passes beside one that never does leaves t no spread: it must not end as unknown."""
    names = [f"t{i}" for i in range(tasks)]
    card = scored({"a": {name: [True] * 3 for name in names}, "b": {name: [False] * 3 for name in names}})
    result = card.pairs[0].as_scored
    assert result.test == "exact sign test over tasks, whose differences are equal"
    assert result.p_value == pytest.approx(2 / 2**tasks)
    assert is_different(card.pairs[0]) is is_shown


def test_several_trials_that_are_all_alike_do_not_differ() -> None:
    card = scored({name: {"t1": [True, False], "t2": [True, True]} for name in "ab"})
    assert card.pairs[0].as_scored.p_value == 1.0


def test_infrastructure_is_out_of_one_basis_and_a_failure_in_the_other() -> None:
    broken = {"status": "harness_error", "error": "supervisor lost"}
    card = scored({"a": {"t1": [True], "t2": [True]}, "b": {"t1": [True], "t2": [True]}}, b__t2=broken)
    pair = card.pairs[0]
    assert (pair.as_scored.tasks, pair.as_scored.passed_b) == (1, 1.0)
    assert (pair.all_counted.tasks, pair.all_counted.passed_b, pair.all_counted.only_a) == (2, 1.0, ("t2",))


def test_no_common_task_is_unknown() -> None:
    result = scored({"a": {"t1": [True]}, "b": {"t2": [True]}}).pairs[0].as_scored
    assert (result.p_value, result.p_holm, result.difference.value) == (None, None, None)


def test_equal_rates_share_a_rank() -> None:
    card = scored({name: {"t1": [True], "t2": [name == "c"]} for name in "abc"})
    assert [(p.rank, p.candidate) for p in card.rankings[0].places] == [(1, "c"), (2, "a"), (2, "b")]


def test_a_flip_is_named_with_its_numbers() -> None:
    broken = {"status": "harness_error", "error": "x"}
    card = scored(
        {
            "a": {f"t{i}": [i < 3] for i in range(5)},
            "b": {f"t{i}": [i > 0] for i in range(5)},
        },
        a__t3=broken,
        a__t4=broken,
    )
    flips = [c for c in card.cautions if c.kind == "ranking_flip"]
    assert [c.candidates for c in flips] == [("a", "b")]
    assert flips[0].numbers["as_scored.rate"] == 1.0
    assert flips[0].numbers["all_counted.rate"] == 0.6
    assert flips[0].numbers["all_counted.rank"] == 2
    assert "1st of 2 with infrastructure faults excluded (100.0 %, 3 of 3)" in flips[0].text
    assert "2nd of 2 with all runs counted (60.0 %, 3 of 5)" in flips[0].text


def test_without_undecided_runs_nothing_flips() -> None:
    card = scored({"a": {"t1": [True], "t2": [True]}, "b": {"t1": [True], "t2": [False]}})
    assert not [c for c in card.cautions if c.kind == "ranking_flip"]


def test_a_difference_must_hold_under_both_ways_of_counting() -> None:
    tasks = [f"t{i}" for i in range(30)]
    clear = scored({"a": {t: [True] for t in tasks}, "b": {t: [i < 10] for i, t in enumerate(tasks)}})
    broken = {f"b__{t}": {"status": "harness_error", "error": "x"} for t in tasks[10:]}
    only_counted = scored({"a": {t: [True] for t in tasks}, "b": {t: [True] for t in tasks}}, **broken)
    assert is_different(clear.pairs[0])
    assert clear.conclusions[0] == "a passes more tasks than b."
    assert clear.conclusions[1].startswith("a against b: +66.7 points, 30 against 10 of 30, discordant 20:0")
    assert not is_different(only_counted.pairs[0])
    assert only_counted.conclusions[0].startswith("No difference in success holds at the 0.05 level both")
    assert only_counted.cautions[0].kind == "difference_rests_on_faults"
