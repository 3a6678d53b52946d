from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironcage.readable import Piece, pieces, readable_arguments, visible


def text_of(found: list[Piece]) -> str:
    return "".join(piece.text for piece in found)


def odd(found: list[Piece]) -> list[str]:
    return [piece.text for piece in found if piece.is_odd]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("rm\x1b[2K", "rm\\u001b[2K"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("pay\u200bment\ufeff", "pay\\u200bment\\ufeff"),
        ("a\u00a0b", "a\\u00a0b"),
        ("a\u3164b\u2800c", "a\\u3164b\\u2800c"),
        ("x\U000e0041y", "x\\u{e0041}y"),
        ("a\u2028b\x85", "a\\u2028b\\u0085"),
        ("file_wr\u0456te", "file_wr\\u0456te"),
        ("\u0430\u0440\u0440\u04cf\u0435.com", "\\u0430\\u0440\\u0440\\u04cf\\u0435.com"),
        ("\uff46ile \ufb01x", "\\uff46ile \\ufb01x"),
        ("etc\u2215passwd \uff0f", "etc\\u2215passwd \\uff0f"),
        ("\U0001d41file", "\\u{1d41f}ile"),
        ("line\nand\ttab", "line\\nand\\ttab"),
        ("a\ufe0fb", "a\\ufe0fb"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_hides_or_passes_for_another_is_written_out(written: str, seen: str) -> None:
    assert visible(written) == seen


@pytest.mark.parametrize(
    "plain",
    [
        "",
        "transfer 100.00 to acme",
        "Москва и с нами",  # noqa: RUF001
        "café naïve Straße",
        "東京API設計",
        "שלום",
        "مرحبا",
        "δελτίο",
        "x² … €",
    ],
)
def test_words_of_any_script_stay_as_they_are(plain: str) -> None:
    assert visible(plain) == plain
    assert odd(pieces(plain)) == []


def test_json_is_laid_out_in_its_own_order_with_double_keys_and_numbers_as_written() -> None:
    found = readable_arguments('{"b": 1.10, "a": [1e400, {}], "b": null, "text": "one\\ntwo \\"q\\" \\\\"}')
    assert text_of(found) == (
        '{\n  "b": 1.10,\n  "a": [\n    1e400,\n    {}\n  ],\n  "b": null,\n  "text": "one\\n\n│ two \\"q\\" \\\\"\n}'
    )
    assert odd(found) == []


def test_an_escaped_letter_is_shown_as_the_letter_that_it_is() -> None:
    assert '"/etc/passwd"' in text_of(readable_arguments('{"path": "\\u002fetc\\u002fpass\\u0077d", "more": "\\/"}'))


def test_no_text_can_pass_for_the_structure_around_it() -> None:
    found = text_of(readable_arguments(json.dumps({"note": 'x",\n  "amount": 1', "amount": 1_000_000})))
    assert [line for line in found.splitlines() if line.startswith('  "amount"')] == ['  "amount": 1000000']


@pytest.mark.parametrize(
    ("written", "counted"), [("a" + " " * 500 + "b", "⟦500 blanks⟧"), ("a" + "\n" * 90 + "b", "⟦90 line breaks⟧")]
)
def test_runs_of_blanks_that_push_the_rest_out_of_sight_are_counted(written: str, counted: str) -> None:
    assert odd(readable_arguments(json.dumps({"a": written}))) == [counted]
    assert odd(pieces(written)) == [counted]


@pytest.mark.parametrize("broken", ["rm -rf /", '{"a": ', '{"a": "\x1b"}', "[" * 100_000])
def test_what_is_no_json_is_shown_as_it_is(broken: str) -> None:
    assert text_of(readable_arguments(broken)) == broken.replace("\x1b", "\\u001b")


def test_deep_nesting_costs_what_it_is_long() -> None:
    deep = "[" * 900 + "1" + "]" * 900
    assert len(text_of(readable_arguments(deep))) < 100 * len(deep)


@given(st.text())
def test_nothing_invisible_is_left_of_any_text(text: str) -> None:
    for found in (visible(text), text_of(readable_arguments(json.dumps({"a": text}, ensure_ascii=False)))):
        left = {unicodedata.category(character) for character in found if character != "\n"}
        assert left.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
        assert " " * 20 not in found.replace("\n", "")
