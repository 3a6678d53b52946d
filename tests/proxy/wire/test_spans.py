from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.spans import (
    Edit,
    apply_edits,
    elements,
    escaped,
    members,
    raw_offsets,
    read_json,
    read_value,
    removal,
    span_at,
    string_leaves,
    unescaped,
)
from tests.support.json_texts import keys, spelled, values, words
from trajectory.errors import FormatError


@given(st.data(), st.dictionaries(keys, values, max_size=5))
def test_members_are_where_the_values_stand(data: st.DataObject, value: dict[str, Any]) -> None:
    text = data.draw(st.composite(lambda draw: spelled(draw, value))()).encode()
    found = members(text)
    assert {key: json.loads(text[m.start : m.end]) for key, m in found.items()} == value
    assert all(text[m.key_start : m.key_start + 1] == b'"' for m in found.values())


@given(st.data(), st.lists(values, max_size=5))
def test_elements_are_where_the_values_stand(data: st.DataObject, value: list[Any]) -> None:
    text = data.draw(st.composite(lambda draw: spelled(draw, value))()).encode()
    assert [json.loads(text[start:end]) for start, end in elements(text)] == value


@given(st.data(), st.dictionaries(keys, values, min_size=1, max_size=4))
def test_a_repeated_key_is_refused_wherever_and_however_it_is_written(
    data: st.DataObject, value: dict[str, Any]
) -> None:
    pairs = list(value.items())
    again = data.draw(st.sampled_from(pairs))[0], data.draw(values)
    pairs.insert(data.draw(st.integers(0, len(pairs))), again)
    draw = data.draw(st.composite(lambda draw: lambda v: spelled(draw, v))())
    text = ("{" + ",".join(f"{draw(k)}:{draw(v)}" for k, v in pairs) + "}").encode()
    with pytest.raises(FormatError):
        members(text)
    with pytest.raises(FormatError):
        read_json(b'[{"x":' + text + b"}]")
    with pytest.raises(FormatError):
        list(string_leaves(b'[{"x":' + text + b"}]"))


@given(st.data(), values)
def test_both_readers_of_json_say_the_same(data: st.DataObject, value: Any) -> None:
    text = data.draw(st.composite(lambda draw: spelled(draw, value))())
    assert read_value(text.encode()) == read_value((text + " " * 5000).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a" :2}', '{"a":1,"\\u0061":2}', r'{"k":"\\","l":"\\","a":1,"a":2}', r'{"k":"\"","a":1,"a":2}',
        r'{"k":"\"\"","a":"","a":""}', '[{"a":[],"a":[]}]', r'{"\"":1,"\"":2}',
    ],
)  # fmt: skip
def test_no_quote_hides_a_repeated_key(text: str) -> None:
    with pytest.raises(FormatError, match="twice"):
        read_value(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        # the last value is as long as what stands between the first one and a piece of itself that looks like a member
        b'{"a":1,"b":22,"a":{"q":1,      "b":2}}',
        b'{"a":1,"a":1}',
        b'{"a":"x","a":"y"}',
        b'{"a":1,"\\u0061":2}',
    ],
)
def test_a_repeated_key_cannot_hide_behind_a_value_of_just_the_right_length(text: bytes) -> None:
    with pytest.raises(FormatError):
        members(text)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"1", b'{"a":1}x', b'{"a":1}{}', b'{"a":1,}', b"\xef\xbb\xbf{}", b"{'a':1}"]
)
def test_what_is_not_one_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        members(text)


@pytest.mark.parametrize("text", [b"", b"[", b"{}", b"[1,]", b"[1]x", b'"[]"'])
def test_what_is_not_one_json_array_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        elements(text)


def test_nesting_without_end_is_refused_and_not_a_crash() -> None:
    for text in (b"[" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        for read in (read_json, members, elements):
            with pytest.raises(FormatError):
                read(text)


@pytest.mark.parametrize("text", [b'"\xff"', b'{"a":"\\ud800"}x', b"NaN", b"[Infinity]", b"-", b"01", b'"\n"'])
def test_what_only_lenient_readers_take_for_json_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        read_json(text)


@given(st.data(), values)
def test_leaves_are_the_same_strings_in_the_same_order_as_the_value_holds(data: st.DataObject, value: Any) -> None:
    text = data.draw(st.composite(lambda draw: spelled(draw, value))()).encode()
    _, texts = read_json(text)
    assert [(leaf.key, unescaped(text[leaf.start : leaf.end])) for leaf in string_leaves(text)] == list(texts)


@given(st.data(), words)
def test_each_character_of_a_string_is_found_at_its_bytes(data: st.DataObject, value: str) -> None:
    raw = data.draw(st.composite(lambda draw: spelled(draw, value))()).encode()[1:-1]
    offsets = raw_offsets(raw, value)
    assert [unescaped(raw[a:b]) for a, b in pairwise(offsets)] == list(value)


@given(words)
def test_an_escaped_text_reads_back_as_itself(text: str) -> None:
    assert unescaped(escaped(text).encode()) == text


@given(st.data(), st.lists(values, max_size=6))
def test_what_remains_after_a_removal_is_a_list_with_its_bytes_unchanged(data: st.DataObject, value: list[Any]) -> None:
    text = data.draw(st.composite(lambda draw: spelled(draw, value))()).encode()
    spans = elements(text)
    drop = data.draw(st.sets(st.integers(0, max(len(value) - 1, 0)))) if value else set()
    left = apply_edits(text, removal(text, spans, drop))
    kept = [text[start:end] for i, (start, end) in enumerate(spans) if i not in drop]
    assert [left[start:end] for start, end in elements(left)] == kept


def test_edits_that_overlap_are_a_bug_and_not_a_guess() -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply_edits(b"abcdef", [Edit(0, 3, b""), Edit(2, 4, b"")])


def test_a_place_that_is_not_there_is_none() -> None:
    text = b'{"a":[{"b":null}],"c":"x"}'
    found = span_at(text, ["a", 0, "b"])
    assert found is not None and text[found.start : found.end] == b"null"
    for path in (["x"], ["a", 1], ["c", "d"], ["c", 0], ["a", "b"], ["a", 0, 0]):
        assert span_at(text, path) is None


def test_white_space_before_a_text_hides_no_place() -> None:
    text = b'\n\r\t {"a": [1, {"b": 2}]}'
    at = span_at(text, ["a", 1, "b"])
    assert at is not None and text[at.start : at.end] == b"2"
