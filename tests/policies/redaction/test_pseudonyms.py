from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.pseudonyms import TOKEN, Pseudonyms, Vault
from policies.redaction.tokens import LETTERS
from trajectory.errors import ClientError

KEY = b"k" * 32


class AlwaysTheSameLetters(Pseudonyms):
    """Attempts 0 and 1 collide for all values, as a real key does about once in 2**42."""

    def token(self, kind: str, value: str, *, attempt: int = 0) -> str:
        return f"PII_{kind}_{LETTERS[attempt // 2] * 10}" if attempt < 2 else super().token(kind, value)


@given(st.text(min_size=1), st.sampled_from(["EMAIL", "IP", "ABCDEFGHIJKLMNOP"]))
def test_every_token_has_the_written_form(value: str, kind: str) -> None:
    token = Pseudonyms(KEY).token(kind, value)
    assert TOKEN.fullmatch(token)
    assert token.startswith(f"PII_{kind}_")


def test_a_token_depends_on_key_kind_and_value_only() -> None:
    token = Pseudonyms(KEY).token("EMAIL", "bob@example.org")
    assert token == Pseudonyms(KEY).token("EMAIL", "bob@example.org")
    others = [
        Pseudonyms(b"x" * 32).token("EMAIL", "bob@example.org"),
        Pseudonyms(KEY).token("KNOWN", "bob@example.org"),
        Pseudonyms(KEY).token("EMAIL", "Bob@example.org"),
        Pseudonyms(KEY).token("EMAIL", "bob@example.org", attempt=1),
        Pseudonyms(KEY).token("EMAIL", "bob@example.org", attempt=6),
    ]
    assert len({token[-10:], *(other[-10:] for other in others)}) == 6


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Pseudonyms(b"short")


def test_a_kind_that_would_not_be_found_again_is_refused() -> None:
    with pytest.raises(ValueError, match="capital letters"):
        Pseudonyms(KEY).token("E_MAIL", "bob@example.org")


def test_the_order_of_values_does_not_change_their_tokens() -> None:
    first, second = Vault(Pseudonyms(KEY)), Vault(Pseudonyms(KEY))
    values = ["bob@example.org", "amy@example.org", "joe@example.org"]
    forwards = {value: first.issue("EMAIL", value) for value in values}
    backwards = {value: second.issue("EMAIL", value) for value in reversed(values)}
    assert forwards == backwards


def test_only_issued_tokens_have_a_value() -> None:
    vault, other = Vault(Pseudonyms(KEY)), Vault(Pseudonyms(KEY))
    token = vault.issue("EMAIL", "bob@example.org")
    assert vault.value(token) == "bob@example.org"
    assert vault.kind(token) == "EMAIL"
    assert other.value(token) is None


def test_two_values_that_collide_get_two_tokens() -> None:
    vault = Vault(AlwaysTheSameLetters(KEY))
    first, second = vault.issue("EMAIL", "bob@example.org"), vault.issue("EMAIL", "amy@example.org")
    assert first != second
    assert (vault.value(first), vault.value(second)) == ("bob@example.org", "amy@example.org")
    assert vault.issue("EMAIL", "amy@example.org") == second


def test_a_full_vault_refuses_instead_of_forgetting() -> None:
    vault = Vault(Pseudonyms(KEY), max_values=1)
    token = vault.issue("EMAIL", "bob@example.org")
    with pytest.raises(ClientError):
        vault.issue("EMAIL", "amy@example.org")
    assert vault.issue("EMAIL", "bob@example.org") == token


def test_a_merged_vault_knows_the_values_of_both() -> None:
    vault, other = Vault(Pseudonyms(KEY)), Vault(Pseudonyms(KEY))
    mine, theirs = vault.issue("EMAIL", "bob@example.org"), other.issue("PHONE", "212-555-0123")
    vault.merge(other)
    assert (vault.value(mine), vault.value(theirs)) == ("bob@example.org", "212-555-0123")
    assert vault.find("call 212-555-0123") == [(5, 17, theirs)]


def test_kinds_that_never_return_are_not_looked_up() -> None:
    vault = Vault(Pseudonyms(KEY))
    secret, email = vault.issue("SECRET", "hunter2-hunter2"), vault.issue("EMAIL", "bob@example.org")
    lookup = vault.restorable(("SECRET",))
    assert (lookup(secret), lookup(email)) == (None, "bob@example.org")


def test_an_issued_value_is_found_again_also_as_json_writes_it() -> None:
    vault = Vault(Pseudonyms(KEY))
    token = vault.issue("KNOWN", 'John "Jack" Doe')
    assert vault.find('name: John "Jack" Doe') == [(6, 21, token)]
    assert vault.find('{"name": "John \\"Jack\\" Doe"}') == [(10, 27, token)]


def test_an_ordinary_word_that_was_a_password_is_not_masked_everywhere() -> None:
    vault = Vault(Pseudonyms(KEY))
    vault.issue("SECRET", "test")
    vault.issue("SECRET", "password")
    assert vault.find("run the test with a password") == []


def test_of_two_issued_values_at_one_place_the_longer_is_found() -> None:
    vault = Vault(Pseudonyms(KEY))
    vault.issue("EMAIL", "bob@example.co")
    longer = vault.issue("EMAIL", "bob@example.com")
    assert vault.find("bob@example.com") == [(0, 15, longer)]
