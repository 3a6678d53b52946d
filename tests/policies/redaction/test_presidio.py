from __future__ import annotations

import logging
import time

import pytest

from policies.redaction.presidio import PRESIDIO_KINDS, PresidioRecognisers
from tests.support.redaction import found
from trajectory.errors import ClientError


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("write to bob@example.org.", "EMAIL", "bob@example.org"),
        ("b.o-b+tag@mail.example.co.uk!", "EMAIL", "b.o-b+tag@mail.example.co.uk"),
        ("mail o'brien@example.org now", "EMAIL", "o'brien@example.org"),
        ("to='bob@example.org'", "EMAIL", "bob@example.org"),
        ("raw b'bob@example.org'", "EMAIL", "bob@example.org"),
        ("https://x.io/a?email=bob@example.org&b=1", "EMAIL", "bob@example.org"),
        ("bob@example.org.Thanks", "EMAIL", "bob@example.org"),
        ("_bob@example.org_", "EMAIL", "bob@example.org"),
        ('{"a": "x\\nbob@example.org"}', "EMAIL", "bob@example.org"),
        ("x\\n212-555-0123\\n", "PHONE", "212-555-0123"),
        ("x\\t536-22-1234", "SSN", "536-22-1234"),
        ("4111 1111 1111 1111 12/27", "CARD", "4111 1111 1111 1111"),
        ("(see 212-555-0123 first", "PHONE", "212-555-0123"),
        ("(212-555-0123 first", "PHONE", "212-555-0123"),
        ("ip=10.0.0.1,", "IP", "10.0.0.1"),
        ("Amy <amy@example.org>", "EMAIL", "amy@example.org"),
        ("card 4111 1111 1111 1111.", "CARD", "4111 1111 1111 1111"),
        ("4111-1111-1111-1111", "CARD", "4111-1111-1111-1111"),
        ('"card": 4111111111111111,', "CARD", "4111111111111111"),
        ("amex 378282246310005", "CARD", "378282246310005"),
        ("IBAN DE89370400440532013000", "IBAN", "DE89370400440532013000"),
        ("GB82 WEST 1234 5698 7654 32 please", "IBAN", "GB82 WEST 1234 5698 7654 32"),
        ("de89370400440532013000", "IBAN", "de89370400440532013000"),
        ("ssn is 536-22-1234", "SSN", "536-22-1234"),
        ("social security 536 22 1234", "SSN", "536 22 1234"),
        ("SSN: 536221234", "SSN", "536221234"),
        ("from 93.184.216.34:443", "IP", "93.184.216.34"),
        ("http://10.20.30.40/x", "IP", "10.20.30.40"),
        ("peer 2001:db8::8a2e:370:7334 up", "IP", "2001:db8::8a2e:370:7334"),
        ("peer fe80::1 up", "IP", "fe80::1"),
        ("call me: 212-555-0123.", "PHONE", "212-555-0123"),
        ("(212) 555-0123", "PHONE", "(212) 555-0123"),
        ("+44 20 7946 0958", "PHONE", "+44 20 7946 0958"),
        ("tel:+12125550123", "PHONE", "+12125550123"),
        ("phone 2125550123", "PHONE", "2125550123"),
        ('"phone":"212.555.0123"', "PHONE", "212.555.0123"),
        ("mobile: 98765 43210", "PHONE", "98765 43210"),
        ("2024-05-15 212-555-0123", "PHONE", "212-555-0123"),
        ("Tel. 030 901820", "PHONE", "030 901820"),
    ],
)
def test_a_value_is_found_whole_in_its_surroundings(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:org/repo.git",
        "lodash@4.17.21 and @types/node@20.1.0",
        "user@localhost",
        "card 4111 1111 1111 1112",
        "0.4111111111111111",
        "order-4111111111111111",
        "GB82 WEST 1234 5698 7654 33",
        "123-45-67890",
        "000-12-3456",
        "id 536221234",
        "Chrome/120.0.0.0 version 1.2.3.4 v10.1.2.3 pkg==1.2.3.4",
        "127.0.0.1:8080, 0.0.0.0 and 255.255.255.0",
        "std::vec at 12:30:45, dead::beef, ::1",
        "00:1a:2b:3c:4d:5e",
        "212-555-0123-7",
        "555-0123",
        "2024-05-15 15",
    ],
)
def test_what_only_looks_like_a_value_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_only_the_kinds_asked_for_are_found() -> None:
    recognisers = PresidioRecognisers(["IP"])
    assert [one.kind for one in recognisers.find("bob@example.org at 93.184.216.34")] == ["IP"]


def test_presidio_never_logs_a_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    recognisers = PresidioRecognisers(PRESIDIO_KINDS)
    recognisers.find(
        "DE89370400440532013000 GB82 WEST 1234 5698 7654 32 ÄÖ12 3456 7890 1234 536-22-1234 bob@example.org"
    )
    logging.getLogger("presidio-analyzer").error("Failed to validate text %s", "DE89")
    assert caplog.records == []


def test_a_pattern_that_presidio_would_skip_fails_the_whole_search() -> None:
    with pytest.raises(ClientError, match="took too long"):
        logging.getLogger("presidio-analyzer").warning(
            "Regex pattern '%s' timed out after %s seconds, skipping.", "x", 60
        )


def test_near_misses_without_end_are_refused_and_not_searched_in_part() -> None:
    for kind, text in [
        ("EMAIL", "x@y.invalidtld "),
        ("PHONE", "0123 45678901 and 0124 45678901 "),
        ("CARD", "4111 1111 1111 1112 x "),
    ]:
        recognisers = PresidioRecognisers([kind], max_misses=15)
        assert recognisers.find(text) == []
        with pytest.raises(ClientError, match="near-misses"):
            recognisers.find("".join(text.replace("01", f"01{number}") for number in range(16)))


@pytest.mark.parametrize(
    "text",
    [
        "a.a." * 4000 + "@",
        ("a-" * 30 + "@") * 130,
        "1/1/" * 4000,
        "12 34 " * 2000,
        "1.1." * 2000,
        "0.123456789, " * 600,
        "a." * 8000,
        "(" * 9000,
        "::" * 4000,
        "DE12 " * 1600,
        "eyJ" * 3000,
        "a://:" * 1600,
        '"pass' * 2000,
        "KEY_" * 2000,
        "@" * 9000,
    ],
)
def test_a_hostile_text_costs_little_more_than_an_ordinary_one(text: str) -> None:
    found("warm up bob@example.org 212-555-0123")
    began = time.process_time()
    found(text)
    # vanilla patterns take seconds on these; a generous bound, for a machine that is shared
    assert time.process_time() - began < 0.5
