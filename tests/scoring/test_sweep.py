from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from scoring.noise.labels import Fit, Label
from scoring.noise.runs import LADDER, UNCAPPED, SweepRun
from scoring.noise.sweep import Sweep, read_sweep

BASE = 100.0


def runs_of(
    task: str, need: float, *, passes: bool = True, repeats: int = 3, steps: Sequence[float] = LADDER
) -> list[SweepRun]:
    """An agent that needs so many MB: at the limit wherever there is less, and wrong or right elsewhere."""
    made = []
    for multiplier in steps:
        for repeat in range(repeats):
            hit = need > multiplier * BASE or need == float("inf")
            peak = min(need + repeat, multiplier * BASE) if need != float("inf") else multiplier * BASE
            made.append(
                SweepRun(
                    task=task,
                    multiplier=multiplier,
                    repeat=repeat,
                    passed=None if hit else passes,
                    hit=hit,
                    peak=None if peak == UNCAPPED else peak,
                )
            )
    return made


def labelled(sweep: Sweep, task: str) -> Label:
    return next(label for label in sweep.labels if label.task == task)


@pytest.mark.parametrize(
    ("need", "passes", "fit", "fits_at"),
    [
        (60, True, "fits", 1.0),
        (130, True, "headroom-bound", 1.5),
        (270, True, "headroom-bound", 3.0),
        (700, True, "headroom-bound", None),
        (float("inf"), True, "grows without bound", None),
        (60, False, "model", 1.0),
    ],
)
def test_synthetic_agents_are_told_apart(need: float, passes: bool, fit: Fit, fits_at: float | None) -> None:
    label = labelled(read_sweep(runs_of("t", need, passes=passes), "memory", BASE), "t")
    assert (label.fit, label.fits_at) == (fit, fits_at)
    assert "of 3 at the limit" in label.evidence


def test_an_agent_that_grows_has_no_need_and_one_that_hits_now_and_then_does_not_fit() -> None:
    grows = labelled(read_sweep(runs_of("t", float("inf")), "memory", BASE), "t")
    assert grows.need is None
    flaky = [
        r.model_copy(update={"hit": True}) if (r.multiplier, r.repeat) == (1.0, 2) else r for r in runs_of("t", 60)
    ]
    label = labelled(read_sweep(flaky, "memory", BASE), "t")
    assert (label.fit, label.fits_at) == ("headroom-bound", 1.5)


def test_too_few_repeats_and_broken_runs_are_unknown() -> None:
    assert labelled(read_sweep(runs_of("t", 60, repeats=2), "memory", BASE), "t").fit == "unknown"
    broken = [run.model_copy(update={"is_broken": run.multiplier == 1.0}) for run in runs_of("t", 60)]
    assert labelled(read_sweep(broken, "memory", BASE), "t").evidence.startswith("no run at 1x")


def many(needs: Callable[[int], float], tasks: int) -> list[SweepRun]:
    return [run for i in range(tasks) for run in runs_of(f"t{i}", needs(i), passes=i % 5 != 0)]


def test_plateau_is_the_step_from_which_success_is_shown_to_stay() -> None:
    sweep = read_sweep(many(lambda i: 130 if i % 2 else 60, 80), "memory", BASE)
    assert sweep.plateau == 1.5
    assert sweep.conclusions[1].startswith("From 1.5x on success is shown to stay within 5 points of uncapped")
    assert [step.multiplier for step in sweep.steps] == [1.0, 1.5, 3.0, 5.0, None]
    assert sweep.steps[0].at_limit.value == 0.5
    assert sweep.steps[0].difference == pytest.approx(-0.5, abs=0.11)


def test_too_few_tasks_show_no_plateau_although_nothing_differs() -> None:
    sweep = read_sweep(many(lambda i: 60, 12), "memory", BASE)
    assert {step.difference for step in sweep.steps[:-1]} == {0.0}
    assert (sweep.plateau, sweep.allocation.guaranteed) == (None, None)
    assert "No plateau is shown" in sweep.conclusions[1]
    assert sweep.conclusions[2] == ("No values are recommended: no plateau is shown, so no value can be called enough.")


def test_a_step_at_which_every_task_fails_differs_by_all() -> None:
    runs = [run for i in range(12) for run in runs_of(f"t{i}", 130)]
    first = read_sweep(runs, "memory", BASE).steps[0]
    assert first.difference == -1.0
    assert first.p_equivalent == pytest.approx(1.0, abs=0.01)


def test_guaranteed_covers_most_needs_and_kill_lies_above_the_largest() -> None:
    sweep = read_sweep(many(lambda i: 250 if i == 1 else 60 + i / 4, 100), "memory", BASE)
    assert sweep.allocation.guaranteed == 86.0
    assert sweep.allocation.kill == 278.0
    assert "more than 3 times" not in sweep.allocation.reason


def test_a_task_that_grows_moves_neither_value() -> None:
    needs = {1: float("inf")}
    sweep = read_sweep(many(lambda i: needs.get(i, 60), 100), "memory", BASE)
    assert sweep.allocation.kill == 69.0
    assert "1 grows without bound" in sweep.conclusions[0]


@pytest.mark.parametrize(("lost", "plateau"), [(0, 1.0), (2, 1.0), (8, None), (30, None)])
def test_a_step_that_loses_as_much_as_the_margin_is_no_plateau(lost: int, plateau: float | None) -> None:
    """Single runs of 150 tasks, of which so many fail at 1x alone; 8 are more than 5 points."""
    runs = [
        SweepRun(task=str(i), multiplier=m, repeat=0, passed=m == UNCAPPED or i >= lost, hit=False)
        for i in range(150)
        for m in (1.0, UNCAPPED)
    ]
    assert read_sweep(runs, "wall_time", 10.0).plateau == plateau


def test_noise_floor_comes_from_the_repeats_at_the_top() -> None:
    chance = np.random.default_rng(5)
    runs = [
        SweepRun(task=str(i), multiplier=m, repeat=r, passed=bool(chance.random() < 0.5), hit=False)
        for i in range(50)
        for m in (1.0, UNCAPPED)
        for r in range(4)
    ]
    assert read_sweep(runs, "cpu_time", 1.0).noise_floor == pytest.approx(1.96 * np.sqrt(2 * 0.25 / 200), abs=0.01)


def test_a_sweep_without_runs_says_so() -> None:
    sweep = read_sweep([], "memory", BASE)
    assert sweep.conclusions[0] == "No run says anything of this resource."
    assert Sweep.model_validate_json(sweep.model_dump_json()) == sweep
