from __future__ import annotations

import json

import pytest

from policies.redaction.keys import find_pairs, is_value_of, kind_of_key


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("phone", "PHONE"),
        ("customerPhoneNumber", "PHONE"),
        ("mobile", "PHONE"),
        ("email", "EMAIL"),
        ("contact_email_address", "EMAIL"),
        ("ssn", "SSN"),
        ("SocialSecurityNumber", "SSN"),
        ("credit_card_number", "CARD"),
        ("iban", "IBAN"),
        ("password", "SECRET"),
        ("db_password", "SECRET"),
        ("apiKey", "SECRET"),
        ("x-api-key", "SECRET"),
        ("OPENAI_API_KEY", "SECRET"),
        ("client_secret", "SECRET"),
        ("max_tokens", None),
        ("next_page_token", None),
        ("token", None),
        ("key", None),
        ("primary_key", None),
        ("number", None),
        ("microphone", None),
        ("", None),
    ],
)
def test_a_key_says_what_stands_under_it(key: str, kind: str | None) -> None:
    assert kind_of_key(key) == kind


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("PHONE", "n/a"),
        ("PHONE", "12"),
        ("EMAIL", "unknown"),
        ("SECRET", "null"),
        ("SECRET", "${PASSWORD}"),
        ("SECRET", "********"),
        ("SECRET", "<your-api-key>"),
        ("SSN", "yes"),
    ],
)
def test_a_place_holder_is_no_value(kind: str, value: str) -> None:
    assert not is_value_of(kind, value)


def values(text: str) -> list[tuple[str, str]]:
    return [(kind, text[start:end]) for start, end, kind in find_pairs(text)]


def test_values_in_json_text_are_typed_by_key_at_each_level_of_escaping() -> None:
    text = json.dumps({"password": "hunter2!", "n": 1, "phone": 2125550123})
    expected = [("SECRET", "hunter2!"), ("PHONE", "2125550123")]
    assert values(text) == expected
    assert values(json.dumps(text)) == expected
    assert values(json.dumps(json.dumps(text))) == expected


def test_a_password_with_quotes_in_it_is_taken_whole() -> None:
    assert values(json.dumps({"password": 'it\'s "so" safe'})) == [("SECRET", 'it\'s \\"so\\" safe')]


def test_an_environment_line_gives_its_secret() -> None:
    assert set(values("export OPENAI_API_KEY=abc123def456\nPATH=/usr/bin1:/bin")) == {("SECRET", "abc123def456")}


@pytest.mark.parametrize(
    "text",
    [
        "?a=1&access_token=abc123def456&b=2",
        "x-api-key: abc123def456",
        "password: 'abc123def456'",
        "SecretKey=abc123def456",
    ],
)
def test_a_query_a_header_and_a_setting_give_their_secret(text: str) -> None:
    assert set(values(text)) == {("SECRET", "abc123def456")}


def test_code_that_names_a_password_holds_none() -> None:
    code = 'password: str = field()\nAPI_KEY = os.environ["API_KEY"]\nif password == other: ...\nkey="value"'
    code += "\npassword=get_pass2(x)\napi_key = cfg2024.key"
    assert values(code) == []
