from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.matching import canonical_arguments, nearest
from replay.world.tape import Recording

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(inner) for key, inner in reversed(value.items())}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@given(values)
def test_order_of_keys_white_space_and_escapes_do_not_matter(value: Any) -> None:
    one = canonical_arguments(json.dumps(value, ensure_ascii=False))
    other = canonical_arguments(json.dumps(reordered(value), indent=3, ensure_ascii=True))
    assert one == other


@given(values, values)
def test_different_values_stay_different(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical_arguments(json.dumps(one)) == canonical_arguments(json.dumps(other))) is same


def test_a_whole_number_is_the_same_with_and_without_a_point() -> None:
    assert canonical_arguments('{"amount": 89.0}') == canonical_arguments('{"amount":89}')
    assert canonical_arguments("true") != canonical_arguments("1")


def test_nothing_is_the_same_as_no_arguments() -> None:
    assert canonical_arguments(" ") == canonical_arguments("{}")


@pytest.mark.parametrize("raw", ['{"a":1', '{"a":1,"a":2}', '{"a":NaN}', "[" * 100_000])
def test_what_cannot_be_understood_has_no_canonical_form(raw: str) -> None:
    assert canonical_arguments(raw) is None


def test_nearest_calls_are_of_the_same_tool_first_and_then_alike() -> None:
    recorded = [
        Recording("refund", '{"order": "A-1"}', ""),
        Recording("look", '{"order": "A-77"}', ""),
        Recording("look", '{"order": "A-12"}', ""),
    ]
    found = nearest("look", '{"order": "A-13"}', recorded, 2)
    assert [call.arguments for call in found] == ['{"order": "A-12"}', '{"order": "A-77"}']
