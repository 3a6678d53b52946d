from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from scoring.variants import Effect, Factor, VariantRun, Variants, read_variants

Chance = Callable[[str, str], float]


def drawn(seed: int, chance: Chance, tasks: int = 60, trials: int = 3) -> list[VariantRun]:
    """Tasks differ in how hard they are; `chance` adds what model and prompt do."""
    generator = np.random.default_rng(seed)
    hard = generator.uniform(-0.3, 0.3, tasks)
    return [
        VariantRun(model=m, prompt=p, task=str(t), passed=bool(generator.random() < 0.5 + hard[t] + chance(m, p)))
        for m in ("x", "y")
        for p in ("plain", "kind")
        for t in range(tasks)
        for _ in range(trials)
    ]


def effect(found: Variants, factor: Factor) -> Effect:
    (one,) = [one for one in found.effects if one.factor == factor]
    return one


def test_model_and_prompt_effects_are_separated() -> None:
    found = read_variants(drawn(1, lambda m, p: 0.15 * (m == "x") - 0.2 * (p == "kind"), tasks=150))
    model, prompt, crossed = (effect(found, factor) for factor in ("model", "prompt", "interaction"))
    assert (model.a, model.b, model.is_shown) == ("x", "y", True)
    assert model.difference.value == pytest.approx(0.15, abs=0.05)
    assert (prompt.a, prompt.b, prompt.is_shown) == ("kind", "plain", True)
    assert prompt.difference.value == pytest.approx(-0.2, abs=0.05)
    assert not crossed.is_shown
    assert set(found.leaders.values()) == {"x"}


def test_a_prompt_that_helps_only_one_model_is_an_interaction_and_turns_the_lead() -> None:
    found = read_variants(drawn(2, lambda m, p: 0.3 * ((m == "x") == (p == "plain")) - 0.15, tasks=100))
    assert not effect(found, "model").is_shown
    assert effect(found, "interaction").is_shown
    assert effect(found, "interaction").models == ("x", "y")
    assert found.leaders == {"plain": "x", "kind": "y"}
    assert found.conclusions[0] == "No effect of the model is shown on 100 tasks."
    assert found.conclusions[-1].startswith("Which model leads changes with the prompt (x under plain, y under kind)")


def test_effects_and_errors_equal_a_cluster_robust_regression() -> None:
    """Sum-coded two-way regression on cell means; statsmodels' own factor (n - 1) / (n - 4) taken out of its error."""
    runs = drawn(3, lambda m, p: 0.1 * (m == "x"), tasks=40)
    found = read_variants(runs)
    cells = [(m, p, t) for m in ("x", "y") for p in ("plain", "kind") for t in range(40)]
    passes = {
        cell: [r.passed for r in runs if (r.model, r.prompt, r.task) == (*cell[:2], str(cell[2]))] for cell in cells
    }
    y = np.array([np.mean(passes[cell]) for cell in cells])
    model = np.array([0.5 if m == "x" else -0.5 for m, _, _ in cells])
    prompt = np.array([0.5 if p == "kind" else -0.5 for _, p, _ in cells])
    design = np.column_stack([np.ones(len(y)), model, prompt, model * prompt])
    fitted = OLS(y, design).fit(cov_type="cluster", cov_kwds={"groups": np.array([t for _, _, t in cells])})
    scale = np.sqrt((len(y) - 1) / (len(y) - 4))
    for number, factor in ((1, "model"), (2, "prompt"), (3, "interaction")):
        one = effect(found, factor)  # type: ignore[arg-type]
        assert one.difference.value == pytest.approx(fitted.params[number], abs=1e-9)
        assert one.difference.low is not None
        reach = (one.difference.value or 0) - one.difference.low
        assert reach / 2.0226909200367604 == pytest.approx(fitted.bse[number] / scale, abs=1e-9)  # t of 39 degrees


def test_intervals_of_all_three_effects_cover() -> None:
    """200 sets of 60 tasks, three effects each; the true ones are 0.1, -0.1 and 0.1."""
    covered = dict.fromkeys(("model", "prompt", "interaction"), 0)
    truth = {"model": 0.1, "prompt": -0.1, "interaction": 0.1}

    def chance(m: str, p: str) -> float:
        one, other = (m == "x") - 0.5, (p == "kind") - 0.5
        return 0.1 * one - 0.1 * other + 0.1 * one * other

    for seed in range(200):
        found = read_variants(drawn(seed, chance, tasks=60, trials=1))
        for factor in covered:
            low, high = effect(found, factor).difference.low, effect(found, factor).difference.high  # type: ignore[arg-type]
            covered[factor] += low is not None and high is not None and low <= truth[factor] <= high
    assert 0.935 <= sum(covered.values()) / 600 <= 0.965


def test_no_interval_goes_beyond_what_a_difference_can_be() -> None:
    passed = {("x", "kind"): "11", ("x", "plain"): "10", ("y", "kind"): "00", ("y", "plain"): "00"}
    found = read_variants(
        [
            VariantRun(model=model, prompt=prompt, task=str(task), passed=done == "1")
            for (model, prompt), tasks in passed.items()
            for task, done in enumerate(tasks)
        ]
    )
    model, crossed = effect(found, "model").difference, effect(found, "interaction").difference
    assert (model.value, model.high) == (0.75, 1.0)
    assert (crossed.low, crossed.high) == (-2.0, 2.0)


def test_tasks_that_a_cell_lacks_are_left_out_and_counted() -> None:
    runs = [r for r in drawn(4, lambda m, p: 0.0, tasks=10) if (r.model, r.prompt, r.task) != ("y", "kind", "3")]
    found = read_variants(runs)
    assert (found.tasks, found.tasks_left_out) == (9, 1)
    assert effect(found, "model").difference.n == 9


def test_without_a_common_task_nothing_is_separated() -> None:
    runs = [
        VariantRun(model="x", prompt="p", task="1", passed=True),
        VariantRun(model="y", prompt="p", task="2", passed=True),
    ]
    found = read_variants(runs)
    assert effect(found, "model").difference.value is None
    assert found.conclusions == ("Nothing can be separated: no task was run by every model under every prompt.",)
    assert read_variants([]).tasks == 0


def test_one_prompt_has_no_prompt_effect() -> None:
    found = read_variants([run for run in drawn(5, lambda m, p: 0.0) if run.prompt == "plain"])
    assert {one.factor for one in found.effects} == {"model"}
    assert found.conclusions[1] == "There is one prompt, so its effect cannot be told."
