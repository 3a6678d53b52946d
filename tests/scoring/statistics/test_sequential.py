from __future__ import annotations

import numpy as np
import pytest

from scoring.statistics.sequential import evidence, follow


def drawn(seed: int, sets: int, tasks: int, shares: tuple[float, float]) -> np.ndarray:
    """Differences of single runs: +1 with the first share, -1 with the second, else 0."""
    chance = np.random.default_rng(seed).random((sets, tasks))
    return np.where(chance < shares[0], 1.0, np.where(chance < sum(shares), -1.0, 0.0))


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_looking_after_every_task_keeps_the_level(share: float) -> None:
    """2,000 comparisons of equals, up to 100 looks each: at most 5 % may ever be called different."""
    money = evidence(drawn(20261123, 2000, 100, (share, share)))
    called = float((money.max(axis=-1) >= np.log(20)).mean())
    assert 0 < called <= 0.05


def test_looking_with_the_usual_test_would_not_keep_it() -> None:
    """What this file is for: the t test at every look calls equals different several times too often."""
    deltas = drawn(20261123, 2000, 150, (0.2, 0.2))
    n = np.arange(1, 151)
    mean, square = deltas.cumsum(axis=1) / n, (deltas**2).cumsum(axis=1) / n
    z = mean[:, 20:] / np.sqrt(np.maximum(square - mean**2, 1e-9) / n)[:, 20:]
    assert (np.abs(z).max(axis=1) > 1.96).mean() > 0.2


def test_interval_covers_at_all_looks_at_once() -> None:
    """Mean 0.1, 2,000 sets of 100 looks, single runs and means of trials: 0.1 is rarely ever outside."""
    graded = np.random.default_rng(6).beta(2, 2, (2000, 100)) * 1.2 - 0.5
    for deltas in (drawn(5, 2000, 100, (0.3, 0.2)), graded):
        assert (evidence(deltas, 0.1).max(axis=-1) < np.log(20)).mean() >= 0.95


def test_interval_holds_the_means_that_no_bet_has_beaten() -> None:
    deltas = drawn(8, 1, 60, (0.4, 0.1))[0]
    found = follow(list(deltas))
    assert found is not None
    inside = [found.interval.low + 0.01, found.interval.high - 0.01]
    outside = [found.interval.low - 0.01, found.interval.high + 0.01]
    assert all(evidence(deltas, mean).max() < np.log(20) for mean in inside)
    assert all(evidence(deltas, mean).max() >= np.log(20) for mean in outside)


def test_a_clear_difference_stops_early_and_names_the_better_one() -> None:
    looks = [follow([1.0, 1.0, 0.0] * n) for n in range(1, 12)]
    first = next(found for found in looks if found and found.verdict != "open")
    assert first.verdict == "a is better"
    assert first.looks <= 18
    assert first.p_value < 0.05
    other = follow([-1.0, -1.0, 0.0] * 10)
    assert other is not None
    assert other.verdict == "b is better"


def test_equals_are_called_alike_only_with_a_margin_and_enough_tasks() -> None:
    same = [0.0] * 400
    assert (found := follow(same)) is not None
    assert found.verdict == "open"
    assert (found := follow(same, margin=0.1)) is not None
    assert found.verdict == "alike"
    assert (found := follow(same[:20], margin=0.1)) is not None
    assert found.verdict == "open"


def test_nothing_yet_is_unknown_and_values_out_of_range_are_refused() -> None:
    assert follow([]) is None
    with pytest.raises(ValueError, match="within -1 and 1"):
        follow([2.0])
