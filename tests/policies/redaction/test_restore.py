from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.pseudonyms import Pseudonyms, Vault
from policies.redaction.restore import Restorer, json_escape, restore

VAULT = Vault(Pseudonyms(b"k" * 32))
BOB = VAULT.issue("EMAIL", "bob@example.org")
TRICKY = VAULT.issue("KNOWN", 'a "quoted" \\ PII_EMAIL_ line\n')
FOREIGN = Pseudonyms(b"x" * 32).token("EMAIL", "bob@example.org")

pieces = st.lists(
    st.one_of(
        st.sampled_from([BOB, TRICKY, FOREIGN, BOB[:-1], BOB[1:], "PII_", "PII_PII_", "P", "II_", "_", "BCDFGHJKMN"]),
        st.text(alphabet="PI_ABCDEMLZ x", max_size=12),
    ),
    max_size=12,
).map("".join)


@given(pieces, st.lists(st.integers(0, 200)))
def test_any_cut_of_a_stream_restores_like_the_whole_text(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    restorer = Restorer(VAULT.value)
    fed = [restorer.feed(text[start:end]) for start, end in pairwise(edges)]
    assert "".join(fed) + restorer.flush() == restore(text, VAULT.value)


@given(pieces)
def test_one_character_at_a_time_restores_like_the_whole_text(text: str) -> None:
    restorer = Restorer(VAULT.value)
    assert "".join(restorer.feed(character) for character in text) + restorer.flush() == restore(text, VAULT.value)


@given(pieces)
def test_no_more_is_held_back_than_can_still_become_a_token(text: str) -> None:
    restorer = Restorer(VAULT.value)
    for character in text:
        restorer.feed(character)
        assert len(restorer.held) <= 30
        assert not restorer.held or restorer.held[0] == "P"


def test_text_without_the_start_of_a_token_flows_at_once() -> None:
    restorer = Restorer(VAULT.value)
    assert restorer.feed("Hello Paul, ") == "Hello Paul, "
    assert restorer.held == ""


def test_a_token_cut_in_two_is_held_and_then_restored() -> None:
    restorer = Restorer(VAULT.value)
    assert restorer.feed(f"mail {BOB[:7]}") == "mail "
    assert restorer.held == BOB[:7]
    assert restorer.feed(f"{BOB[7:]}!") == "bob@example.org!"


def test_a_token_of_another_session_stays_as_it_is() -> None:
    assert restore(f"{FOREIGN} {BOB}", VAULT.value) == f"{FOREIGN} bob@example.org"


def test_a_restored_value_is_not_searched_again() -> None:
    nested = Vault(Pseudonyms(b"k" * 32))
    token = nested.issue("KNOWN", f"holds {BOB}")
    assert restore(token, lambda found: nested.value(found) or VAULT.value(found)) == f"holds {BOB}"


@given(st.text())
def test_an_escaped_value_is_read_back_at_each_level(value: str) -> None:
    assert json_escape(value, 0) == value
    assert json.loads(f'"{json_escape(value, 1)}"') == value
    assert json.loads(json.loads(f'"{json_escape(json.dumps(value), 1)}"')) == value
    assert json.loads(f'"{json_escape(value, 2)}"') == json_escape(value, 1)


def test_a_lone_surrogate_is_escaped_so_that_it_can_be_sent() -> None:
    assert json_escape("\ud800", 1).encode() == b"\\ud800"


def test_a_value_restored_inside_tool_arguments_leaves_them_readable() -> None:
    body = json.dumps({"arguments": json.dumps({"to": TRICKY})})
    restored = restore(body, VAULT.value, lambda value: json_escape(value, 2))
    assert json.loads(json.loads(restored)["arguments"]) == {"to": VAULT.value(TRICKY)}
