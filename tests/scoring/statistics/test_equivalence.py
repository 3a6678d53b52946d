from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from scoring.statistics import equivalent_means, equivalent_pairs, p_worse_means, p_worse_pairs


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=30), st.floats(0.1, 2))
def test_means_equal_statsmodels(deltas: list[float], margin: float) -> None:
    assume(np.std(deltas) > 1e-3)
    found = equivalent_means(deltas, margin)
    assert found is not None
    p_value, _, _ = ttost_paired(np.array(deltas), np.zeros(len(deltas)), -margin, margin)
    assert found.p_value == pytest.approx(p_value, abs=1e-9)
    assert found.interval is not None
    is_inside = -margin < found.interval.low and found.interval.high < margin
    assert is_inside == found.is_equivalent


def test_pairs_give_the_published_value_of_the_lens_disinfection_trial() -> None:
    """Tango 1998: 44 pairs, 43 agree on success and 1 favours the control; margin 0.1: Z = 1.709, p = 0.044."""
    found = equivalent_pairs(0, 1, 44, 0.1)
    assert found is not None
    assert found.p_value == pytest.approx(0.044, abs=5e-4)
    assert found.p_value == pytest.approx(0.5 * math.erfc(1.7085642859 / math.sqrt(2)), abs=1e-9)


def test_a_large_p_of_difference_on_few_tasks_is_no_equivalence_and_many_agreeing_tasks_are() -> None:
    few, many = equivalent_pairs(2, 2, 12, 0.05), equivalent_pairs(2, 2, 300, 0.05)
    assert few is not None
    assert many is not None
    assert not few.is_equivalent
    assert many.is_equivalent


def test_no_discordant_pair_is_evidence_that_grows_with_the_pairs() -> None:
    p_values = [found.p_value for n in (5, 20, 80) if (found := equivalent_pairs(0, 0, n, 0.05))]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] > 0.05 > p_values[-1]


def test_too_little_data_is_unknown_and_a_margin_of_0_is_refused() -> None:
    assert equivalent_means([0.1], 0.2) is None
    assert equivalent_means([0.0, 0.0], 0.2) is None
    assert equivalent_pairs(0, 0, 0, 0.2) is None
    with pytest.raises(ValueError, match="above 0"):
        equivalent_pairs(1, 1, 5, 0.0)


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=30), st.floats(0.1, 2))
def test_equivalence_is_being_worse_in_neither_direction(deltas: list[float], margin: float) -> None:
    assume(np.std(deltas) > 1e-3)
    both = equivalent_means(deltas, margin)
    sides = [p_worse_means(deltas, margin), p_worse_means([-d for d in deltas], margin)]
    assert both is not None
    assert both.p_value == pytest.approx(max(p for p in sides if p is not None), abs=1e-12)


def test_a_better_candidate_is_shown_not_to_be_worse_where_equivalence_cannot_be_shown() -> None:
    better, both = p_worse_pairs(12, 2, 40, 0.05), equivalent_pairs(12, 2, 40, 0.05)
    assert both is not None
    assert better is not None
    assert better < 0.01
    assert not both.is_equivalent
    assert p_worse_pairs(0, 0, 0, 0.05) is None
    assert p_worse_means([0.5], 0.05) is None
