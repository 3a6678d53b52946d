from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.known import KnownValues


def known(*values: str) -> KnownValues:
    collected = KnownValues()
    for value in values:
        collected.add("PATIENT", value)
    return collected


def test_a_value_is_found_inside_words_and_urls() -> None:
    assert known("S6534835").find("fhir/xS6534835y?id=S6534835") == [(6, 14, "PATIENT"), (19, 27, "PATIENT")]


def test_of_two_values_at_one_place_the_longer_counts() -> None:
    assert known("Smith", "Smithson").find("Smithson, Smith") == [(0, 8, "PATIENT"), (10, 15, "PATIENT")]


def test_too_short_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        known("abc")


@given(st.lists(st.text("abcd", min_size=4, max_size=6), min_size=1, max_size=8), st.text("abcd", max_size=60))
def test_many_values_are_found_like_few(values: list[str], text: str) -> None:
    few = known(*values)
    many = known(*values, *(f"#{number:05d}" for number in range(200)))
    assert few.find(text) == many.find(text)
