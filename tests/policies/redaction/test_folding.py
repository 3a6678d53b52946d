from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.folding import fold


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("bob%40example.org", "bob@example.org"),
        ("bob\uff20example\uff0eorg", "bob@example.org"),
        ("b\u200bob@exam\u00adple.org", "bob@example.org"),
        ("bob@example\u3002org", "bob@example.org"),
        ("&#98;ob&#x40;example&period;org", "bob@example.org"),
        ("bob&commat;example.org", "bob@example.org"),
        ("bob\\u0040example.org", "bob@example.org"),
        ("\uff12\uff11\uff12\u2013555\u2011\u0660123", "212-555-0123"),
        ("4111\u00a01111", "4111 1111"),
        ("Jos%C3%A9", "José"),
    ],
)
def test_other_spellings_become_the_plain_one(written: str, meant: str) -> None:
    folded = fold(f"<{written}>")
    assert folded is not None
    assert folded.text == f"<{meant}>"
    start, end = folded.span(1, 1 + len(meant))
    assert f"<{written}>"[start:end] == written


@pytest.mark.parametrize("text", ["", "plain", "100% sure & done", "café 漢字 😀", "a\\nb", "%zz &zzyzx; x"])
def test_a_text_with_one_spelling_is_not_copied(text: str) -> None:
    assert fold(text) is None


@given(st.text(alphabet="ab%40\u200b\uff20é\\u;&#64", max_size=30))
def test_each_folded_character_lies_in_order_in_the_original(text: str) -> None:
    folded = fold(text)
    if folded is None:
        return
    previous = 0
    for position, character in enumerate(folded.text):
        start, end = folded.span(position, position + 1)
        assert previous <= start < end <= len(text)
        if end - start == 1 and text[start].isascii():
            assert text[start] == character
        previous = start
