from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scoring.statistics import mcnemar_exact
from scoring.statistics.permutation import MAX_EXACT, sign_flip_test


@settings(max_examples=30)
@given(st.lists(st.floats(-5, 5).filter(lambda d: abs(d) > 1e-3), min_size=2, max_size=10))
def test_exact_p_equals_scipys_permutation_test(deltas: list[float]) -> None:
    theirs = stats.permutation_test(
        (deltas, np.zeros(len(deltas))),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    ours = sign_flip_test(deltas, seed=1)
    assert ours is not None
    assert (ours.is_exact, ours.p_error) == (True, 0.0)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-9)


@pytest.mark.parametrize(("only_a", "only_b"), [(5, 0), (7, 2), (10, 10), (0, 0)])
def test_on_single_runs_it_is_mcnemars_test(only_a: int, only_b: int) -> None:
    found = sign_flip_test([1.0] * only_a + [-1.0] * only_b + [0.0] * 30, seed=1)
    assert found is not None
    assert found.p_value == pytest.approx(mcnemar_exact(only_a, only_b), abs=1e-12)


def test_drawn_p_agrees_with_the_exact_one_within_its_own_error() -> None:
    found = sign_flip_test([1.0] * 25 + [-1.0] * 11, seed=4)
    assert found is not None
    assert not found.is_exact
    assert 0 < found.p_error < 0.001
    assert abs(found.p_value - mcnemar_exact(25, 11)) < 3 * found.p_error


def test_drawn_p_is_never_0_and_repeats_with_its_seed() -> None:
    deltas = [1.0] * (MAX_EXACT + 20)
    found = sign_flip_test(deltas, seed=9, flips=999)
    assert found is not None
    assert found.p_value == 1 / 1000
    assert found == sign_flip_test(deltas, seed=9, flips=999)


def test_without_pairs_it_is_unknown_and_without_difference_1() -> None:
    assert sign_flip_test([], seed=1) is None
    alike = sign_flip_test([0.0, 0.0], seed=1)
    assert alike is not None
    assert alike.p_value == 1.0
