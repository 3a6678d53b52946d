from __future__ import annotations

import math

from policies.yaml_tree import read


def test_places_count_from_one_for_people() -> None:
    tree = read("a:\n  - b: 1\n")
    key, value = tree.problem(("a", 0, "b"), "x", "", at_key=True), tree.problem(("a", 0, "b"), "x", "")
    assert (key.line, key.column) == (2, 5)
    assert (value.line, value.column) == (2, 8)
    assert str(key) == "2:5: a.0.b: x"


def test_location_keeps_what_the_file_has() -> None:
    tree = read("a: {b: [1]}")
    assert tree.existing(("a", "function-wrap[f()]", "b", 0)) == ("a", "b", 0)
    assert tree.existing(("a", "missing")) == ("a",)
    assert tree.existing(()) == ()


def test_keys_are_text_even_if_they_look_like_numbers() -> None:
    assert read("8080: a\ntrue: b\nnull: c").data == {"8080": "a", "true": "b", "null": "c"}


def test_scalars_of_the_core_schema() -> None:
    data = read("[~, null, true, FALSE, -3, 0x1F, 1., -.5e-3, .inf, -.INF, 'null', \"1\", +7, 1e5]").data
    assert data == [None, None, True, False, -3, 31, 1.0, -0.0005, math.inf, -math.inf, "null", "1", 7, 1e5]
    assert math.isnan(read("[.NaN]").data[0])


def test_empty_is_told_from_null() -> None:
    tree = read("a:\nb: null\nc: ''\nd: {e: }\n")
    assert [empty.path for empty in tree.empty] == [("a",), ("d", "e")]
    assert tree.data == {"a": None, "b": None, "c": "", "d": {"e": None}}
