from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.quoting import listed, shown


@given(st.text(max_size=300))
def test_shown_name_is_one_short_line_of_printable_ascii(name: str) -> None:
    text = shown(name)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 83


@pytest.mark.parametrize("name", ["file_read", "mcp__a.b-c/d", "x" * 80])
def test_plain_name_is_shown_as_it_is(name: str) -> None:
    assert shown(name) == name


def test_hidden_characters_become_visible() -> None:
    assert shown("a\n\x1b\u200b\ud800") == "a\\x0a\\x1b\\u200b\\ud800"
    assert shown("x" * 81) == "x" * 80 + "..."


def test_list_is_cut_and_says_so() -> None:
    assert listed([]) == "none"
    assert listed(["a", "b"]) == "a, b"
    assert listed((str(number) for number in range(22)), limit=2) == "0, 1 and 20 more"
