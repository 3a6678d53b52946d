from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.mask import Masked, mask
from policies.redaction.pseudonyms import TOKEN, Pseudonyms, Vault
from policies.redaction.restore import json_escape, restore
from tests.support.redaction import PATIENT, full_detector
from trajectory.errors import ClientError

KEY = b"k" * 32
VALUES = [
    "bob@example.org",
    "Bob@Example.org",
    "bob@example.com",
    "212-555-0123",
    "(212) 555-0123",
    "+44 20 7946 0958",
    "4111 1111 1111 1111",
    "378282246310005",
    "DE89370400440532013000",
    "536-22-1234",
    "93.184.216.34",
    "2001:db8::8a2e:370:7334",
    "bob%40example.net",
    "sk-" + "proj-aB3dE5gH7jK9mN1pQ2rS4tU6",
    PATIENT,
]
WORDS = ["call", "phone", "the", "7", "order 123", "a=b", "{", "}", "P", "PII_", "x1", "été", "\u200b", "%20"]
BETWEEN = [" ", ",", "/", ", ", " / "]
SEPARATORS = [" ", ", ", "\n", '"', "; ", " (", ") "]


def new_vault() -> Vault:
    return Vault(Pseudonyms(KEY))


def masked(text: str, vault: Vault | None = None, *, key: str = "") -> Masked:
    return mask(text, full_detector(), new_vault() if vault is None else vault, key=key)


texts = st.lists(st.tuples(st.sampled_from(VALUES + WORDS), st.sampled_from(SEPARATORS)), max_size=8).map(
    lambda parts: "".join(word + separator for word, separator in parts)
)
dense = st.lists(
    st.sampled_from([*VALUES, *WORDS, *SEPARATORS, "-", ".", "@", "PII_EMAIL_BCDFGHJKMN"]), max_size=8
).map("".join)


@given(dense)
def test_masking_twice_is_masking_once(text: str) -> None:
    vault = new_vault()
    once = masked(text, vault)
    twice = masked(once.text, vault)
    assert twice == Masked(once.text)
    assert masked(once.text) == Masked(once.text), "nor does a session that has issued nothing find anything"


@given(dense)
def test_the_edits_turn_the_original_into_the_masked_text(text: str) -> None:
    result = masked(text)
    edited = text
    for start, end, token in reversed(result.edits):
        assert TOKEN.fullmatch(token)
        edited = edited[:start] + token + edited[end:]
    assert edited == result.text
    assert sum(result.counts.values()) == len(result.edits)
    ends = [0, *(end for _, end, _ in result.edits)]
    assert all(end <= start for end, (start, _, _) in zip(ends, result.edits, strict=False))


@given(dense)
def test_restoring_a_masked_text_gives_the_original(text: str) -> None:
    vault = new_vault()
    assert restore(masked(text, vault).text, vault.value) == text


@given(texts)
def test_no_value_is_left_in_a_masked_text(text: str) -> None:
    result = masked(text).text
    assert [value for value in VALUES if value in result] == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("(212) 555-0123 4111 1111 1111 1111 ", "PHONE CARD"),
        ("(212) 555-0123 378282246310005", "PHONE CARD"),
        ("+44 20 7946 0958 4111 1111 1111 1111", "PHONE CARD"),
        ("378282246310005 4111 1111 1111 1111", "CARD CARD"),
        ("212-555-0123/(212) 555-0123", "PHONE PHONE"),
        ("212-555-0123/93.184.216.34", "PHONE IP"),
        ("212-555-0123/4111 1111 1111 1111", "PHONE CARD"),
        ("bob@example.org/212-555-0123", "EMAIL PHONE"),
        ("536-22-1234/(212) 555-0123", "SSN PHONE"),
    ],
)
def test_two_values_side_by_side_do_not_hide_each_other(text: str, kinds: str) -> None:
    assert [token.split("_")[1] for _, _, token in masked(text).edits] == kinds.split()


@given(st.sampled_from(VALUES), st.sampled_from(BETWEEN), st.sampled_from(VALUES))
def test_any_two_values_are_both_masked_whatever_stands_between(first: str, between: str, second: str) -> None:
    result = masked(first + between + second)
    assert len(result.edits) == 2
    assert TOKEN.sub("", result.text) == between


@given(st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from(BETWEEN)), min_size=3, max_size=8))
def test_no_value_is_left_in_a_row_of_values(row: list[tuple[str, str]]) -> None:
    result = masked("".join(value + between for value, between in row)).text
    assert [value for value, _ in row if value in result] == []


@pytest.mark.parametrize("phone", ["(212) 555-0123", "+44 20 7946 0958"])
@pytest.mark.parametrize("number", ["4111 1111 1111 1112", "7", "12 34"])
def test_a_phone_number_beside_another_number_is_masked(phone: str, number: str) -> None:
    assert masked(f"{phone} {number}").counts == {"PHONE": 1}
    assert masked(f"{number} {phone}").counts == {"PHONE": 1}


def test_a_number_in_a_path_is_no_phone_number() -> None:
    text = "https://example.org/orders/212-555-0123/lines"
    assert masked(text) == Masked(text)


@given(st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from(SEPARATORS)), max_size=8), texts)
def test_what_the_model_wrote_with_tokens_masks_back_to_it(parts: list[tuple[str, str]], seen: str) -> None:
    vault = new_vault()
    masked(seen, vault)
    for value, _ in parts:
        masked(f"phone {value}", vault)
    written = "".join(masked(value, vault).text + separator for value, separator in parts)
    assert masked(restore(written, vault.value), vault).text == written


def test_an_untouched_text_comes_back_as_itself() -> None:
    text = "nothing to see: 2026-11-23"
    assert masked(text) == Masked(text)
    assert masked(text).text is text


def test_counts_say_how_many_of_each_kind() -> None:
    assert masked("bob@example.org, amy@example.org, 212-555-0123").counts == {"EMAIL": 2, "PHONE": 1}


def test_a_value_typed_once_by_its_key_is_found_again_without_it() -> None:
    vault = new_vault()
    token = masked("2125550123", vault, key="phone").text
    assert masked("order 2125550123", vault).text == f"order {token}"
    assert masked("order 2125550123").text == "order 2125550123"


def test_one_value_has_one_token_in_every_turn_and_session() -> None:
    first = masked("bob@example.org").text
    assert masked("to bob@example.org").text == f"to {first}"


def test_an_issued_value_inside_a_longer_one_goes_with_it() -> None:
    vault = new_vault()
    masked("bob@example.co", vault)
    assert TOKEN.fullmatch(masked("bob@example.com", vault).text)


def test_arguments_restored_as_json_mask_back_to_the_same_token() -> None:
    vault = new_vault()
    token = vault.issue("KNOWN", 'Jack "J" Doe')
    arguments = restore(json.dumps({"name": token}), vault.value, lambda value: json_escape(value, 1))
    assert masked(arguments, vault).text == json.dumps({"name": token})


def test_what_the_detector_cannot_finish_is_not_masked_in_part() -> None:
    class Fails:
        def find(self, text: str, *, key: str = "") -> tuple[()]:
            raise ClientError("too long")

    with pytest.raises(ClientError, match="too long"):
        mask("bob@example.org", Fails(), new_vault())
