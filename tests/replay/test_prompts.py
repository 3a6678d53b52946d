from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.prompts import EDITS, drop_role, reorder, reorder_paragraphs, reorder_sentences, replacing

PROMPT = "You are a strict refund auditor.\n\nCheck the order. Never guess.\n\n- Be brief.\n- Say why."


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("You are a strict auditor.\n\nCheck the order.", "Check the order."),
        ("Check the order. You are a strict auditor. Never guess.", "Check the order. Never guess."),
        ("You are Ada, who must check the order first.", "Must check the order first."),
        ("You are an agent of the shop and you should be polite.", "Should be polite."),
        ("As a senior reviewer, check the order.", "Check the order."),
        ("Act as the auditor; never guess.", "Never guess."),
        ("Help out.\nPretend to be a pirate!\nBe brief.", "Help out.\n\nBe brief."),
    ],
)
def test_role_words_go_and_instructions_stay(before: str, after: str) -> None:
    edited = drop_role(before, 0)
    assert edited.text == after
    assert len(edited.changes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Check whether you are right.",
        "As a rule of thumb three is enough.",
        "As a last resort, refund it.",
        "You are asked for the id.",
        "",
        "Be brief.",
    ],
)
def test_what_is_no_role_stays(text: str) -> None:
    assert drop_role(text, 0).text == text
    assert drop_role(text, 0).changes == ()


def test_a_dropped_role_is_quoted() -> None:
    (change,) = drop_role(PROMPT, 0).changes
    assert (change.before, change.after) == ("You are a strict refund auditor.", "")


def test_paragraphs_change_places_and_what_stands_between_them_stays() -> None:
    edited = reorder_paragraphs(PROMPT, 3)
    assert edited.text != PROMPT
    assert sorted(edited.text.split("\n\n")) == sorted(PROMPT.split("\n\n"))


def test_sentences_stay_in_their_paragraph() -> None:
    assert reorder_sentences(PROMPT, 3).text == (
        "You are a strict refund auditor.\n\nNever guess. Check the order.\n\n- Say why.\n- Be brief."
    )


def test_a_numbered_line_is_not_torn_apart() -> None:
    edited = reorder_sentences("1. Check the order\n2. Say why", 0)
    assert edited.text == "2. Say why\n1. Check the order"


def test_one_paragraph_is_reordered_by_sentences() -> None:
    assert reorder("Check the order. Never guess.", 0).text == "Never guess. Check the order."


def test_a_paraphrase_is_not_paraphrased_again() -> None:
    edited = replacing({"Never guess": "Be sure", "Be sure": "Be quick", "order": "parcel"})(PROMPT, 0)
    assert "Check the parcel. Be sure." in edited.text
    assert [(one.before, one.after) for one in edited.changes] == [("order", "parcel"), ("Never guess", "Be sure")]
    assert replacing({"absent": "x", "order": "order"})(PROMPT, 0).changes == ()
    assert replacing({})(PROMPT, 0).text == PROMPT


@pytest.mark.parametrize("name", sorted(EDITS))
@given(text=st.text(alphabet="ab. \nY", max_size=60) | st.just(PROMPT), seed=st.integers())
def test_an_edit_is_repeatable_and_says_whether_it_changed_anything(name: str, text: str, seed: int) -> None:
    edited = EDITS[name](text, seed)
    assert edited == EDITS[name](text, seed)
    assert (edited.text != text) == bool(edited.changes)


@given(text=st.text(alphabet="ab. \nY", max_size=60), seed=st.integers())
def test_reordering_neither_adds_nor_loses_a_character(text: str, seed: int) -> None:
    assert sorted(reorder(text, seed).text) == sorted(text)
