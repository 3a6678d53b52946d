from __future__ import annotations

import numpy as np
import pytest

from scoring.comparison import is_different, is_significant
from scoring.noise.floor import noise_floor
from scoring.report.markdown import render_markdown
from scoring.score import score
from tests.support.scored_runs import table


def flaky(passed: list[int], trials: int) -> dict[str, list[bool | None]]:
    """Tasks of which so many trials pass."""
    return {f"t{i}": [trial < n for trial in range(trials)] for i, n in enumerate(passed)}


def test_two_sets_of_runs_of_one_model_stay_below_the_floor_in_19_of_20_cases() -> None:
    """1,500 pairs of sets of 40 tasks x 4 trials of one model."""
    chance = np.random.default_rng(3)
    each = chance.beta(1, 1, (1500, 40, 1))
    a, b = chance.random((1500, 40, 4)) < each, chance.random((1500, 40, 4)) < each
    below = 0
    for x, y in zip(a.astype(float), b.astype(float), strict=True):
        floor = noise_floor(dict(enumerate(x.tolist())), dict(enumerate(y.tolist())))  # type: ignore[arg-type]
        assert floor is not None
        below += abs(x.mean() - y.mean()) < floor
    assert 0.94 <= below / 1500 <= 0.96


def test_a_floor_needs_a_task_that_was_tried_twice_on_both_sides() -> None:
    assert noise_floor({"t": [1.0]}, {"t": [1.0, 0.0]}) is None
    assert noise_floor({}, {}) is None
    assert noise_floor({"t": [1.0, 1.0]}, {"t": [0.0, 0.0]}) == 0.0


def test_a_significant_difference_below_the_floor_is_not_called_one() -> None:
    """Each task differs by one trial of four, the same way: no spread over tasks, and as much as chance does."""
    a, b = flaky([3, 3, 3, 3, 3, 3, 3, 2], 4), flaky([2, 2, 2, 2, 2, 2, 2, 2], 4)
    card = score(*table({"a": a, "b": b}), {})
    pair = card.pairs[0]
    assert (pair.as_scored.p_holm or 1) < 0.001
    assert pair.as_scored.noise_floor == pytest.approx(0.267, abs=1e-3)
    assert is_significant(pair)
    assert not is_different(pair)
    assert card.conclusions[0].startswith("No difference in success is both significant at the 0.05 level and above")
    assert (
        "a against b is not called a difference: +21.9 points is less than the noise floor, 26.7" in card.conclusions[2]
    )


def test_a_difference_above_the_floor_stands_and_the_table_says_the_floor() -> None:
    a, b = flaky([4, 4, 4, 4, 3, 4, 4, 4], 4), flaky([0, 0, 1, 0, 0, 0, 1, 0], 4)
    card = score(*table({"a": a, "b": b}), {})
    assert is_different(card.pairs[0])
    assert "noise floor 10.6 points" in render_markdown(card)


def test_with_one_trial_the_floor_is_unknown_and_withholds_nothing() -> None:
    tasks = {f"t{i}": [True] for i in range(20)}
    card = score(*table({"a": tasks, "b": {task: [i < 5] for i, task in enumerate(tasks)}}), {})
    assert card.pairs[0].as_scored.noise_floor is None
    assert is_different(card.pairs[0])
    assert "noise floor unknown" in render_markdown(card)
