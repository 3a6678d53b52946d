from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from scoring.statistics import fisher_exact, unpaired_difference

SIDE = st.lists(st.floats(-5, 5), min_size=2, max_size=25)


@given(SIDE, SIDE)
def test_difference_equals_scipys_welch_test(a: list[float], b: list[float]) -> None:
    assume(np.std(a) > 1e-3 and np.std(b) > 1e-3)
    ours, theirs = unpaired_difference(a, b), stats.ttest_ind(a, b, equal_var=False)
    assert ours is not None
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-9)
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval()), abs=1e-6)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_fisher_equals_scipy(n_a: int, n_b: int, data: st.DataObject) -> None:
    a, b = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b))
    theirs = stats.fisher_exact([[a, n_a - a], [b, n_b - b]]).pvalue
    assert fisher_exact(a, n_a, b, n_b) == pytest.approx(theirs, abs=1e-9)


def test_two_sets_without_spread_are_told_apart_by_their_size_alone() -> None:
    few, many = unpaired_difference([0.0] * 2, [1.0] * 2), unpaired_difference([0.0] * 10, [1.0] * 10)
    assert few is not None
    assert many is not None
    assert few.p_value == pytest.approx(2 / 6)
    assert many.p_value == pytest.approx(2 / 184756)
    assert (many.mean, many.interval) == (-1.0, None)
    assert unpaired_difference([1.0] * 3, [1.0] * 3) == (0.0, None, 1.0)


def test_too_little_data_is_unknown() -> None:
    assert unpaired_difference([], [1.0]) is None
    single = unpaired_difference([1.0], [2.0, 3.0])
    assert single is not None
    assert (single.interval, single.p_value) == (None, None)
