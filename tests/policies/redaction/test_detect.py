from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.detect import build_detector, read_known_values
from policies.redaction.presidio import PRESIDIO_KINDS, PresidioRecognisers
from policies.redaction.pseudonyms import Pseudonyms
from policies.redaction.settings import RedactionSettings
from tests.support.redaction import PATIENT, found, full_detector
from trajectory.errors import ClientError, OperatorError

TOKEN = Pseudonyms(b"k" * 32).token("EMAIL", "bob@example.org")

AGENT_TEXT = """
model claude-haiku-4-5-20251001, gpt-4.1-2025-04-14, gemini-2.5-flash-preview-05-20
2026-11-23T15:34:21.123456Z 2026-11-23 15:34:21,123 INFO [worker-3] GET /v1/models/12345678 200 1532 0.0123
{"created": 1735269425, "id": "chatcmpl-9aZ1bC2dE3fG4hI5", "system_fingerprint": "fp_44709d6fcb", "max_tokens": 4096}
{"order_id": 2147483648, "sku": "7903094618", "price": 1299.99, "stock": [12, 345, 6789], "item_ids": ["9832717871"]}
call_abc123XYZ toolu_01A09q90qw90lq917835lq9 run-8f14e45f-ceea-467f-9a36-dcc2dd7d7f3b req_011CSHoEeqs5C35K2UUqR7Fy
commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b (HEAD -> main, tag: v1.12.0) 3.12.1 2.2.362 1.4.0-rc.1
-rw-r--r-- 1 root root 1048576 Nov 23 15:34 core.py  drwxr-xr-x 14 user staff 448 Nov  1 09:12 src
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
File "/usr/lib/python3.12/asyncio/base_events.py", line 1234, in run_forever
$1,234.56 EUR 99.00 10-20% 3-4 pages, 100 200 300, 1/2 cup, 24/7, 2024-2025, 15:00-16:30, 50.5, -12.75, 1e-10
"embedding": [0.0123456789, -0.9876543210, 0.1111111111], (52.5200066, 13.4049540), 192.168 px, #ff00aa
numpy==1.26.4 aiohttp>=3.14,<4 Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0 Safari/537.36
def send(self, to: str, *, retries: int = 3) -> None: @app.route("/x") std::vector<int> a::b lodash@4.17.21
password: str, api_key=settings.api_key, token = get_token(), "primary_key": "id", "tokens": 1234567890
JFK to SFO HAT123 2024-05-15 $1500 reservation ZFA04Y, flight HAT001 on 2024-05-20T06:00:00 gate 12, seat 14C
127.0.0.1:8080 0.0.0.0 localhost ::1 git@github.com:org/repo.git https://example.com/a/b?page=2&size=100#top
"""


@pytest.mark.parametrize("line", [line for line in AGENT_TEXT.splitlines() if line])
def test_ordinary_agent_text_holds_nothing(line: str) -> None:
    assert found(line) == []
    assert found(json.dumps({"content": line})) == []


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("phone", "2125550123", "PHONE"),
        ("password", "correct horse", "SECRET"),
        ("email", "bob@intranet", "EMAIL"),
        ("ssn", "536221234", "SSN"),
    ],
)
def test_a_bare_value_is_typed_by_its_key(key: str, value: str, kind: str) -> None:
    assert found(value) == []
    assert found(f" {value} ", key=key) == [(kind, value)]


def test_a_declared_value_is_found_in_urls_words_and_other_spellings() -> None:
    assert found(f"GET /fhir/Patient?identifier={PATIENT}&x=1") == [("PATIENT", PATIENT)]
    assert found(f"MRN{PATIENT}x") == [("PATIENT", PATIENT)]
    assert found("Mar\\u00eda no, Maria Jos%C3%A9 yes") == [("PATIENT", "Maria Jos%C3%A9")]


def test_other_spellings_of_an_address_are_found_as_they_are_written() -> None:
    for written in ("bob%40example.org", "bob\uff20example.org", "b\u200bob@example.org", "bob&#64;example.org"):
        assert found(f"to {written}, please") == [("EMAIL", written)]


def test_of_overlapping_findings_a_secret_wins_and_then_the_longer() -> None:
    assert found("https://amy:hunter2@mail.example.com/x") == [("SECRET", "hunter2")]
    assert found(f"{PATIENT}@example.org") == [("EMAIL", f"{PATIENT}@example.org")]


def test_own_tokens_are_never_found_again() -> None:
    for text in (TOKEN, f"password={TOKEN}", f'"password": "{TOKEN}"', f"Bearer {TOKEN}", f"http://u:{TOKEN}@h.com"):
        assert found(text) == []
    assert found(TOKEN, key="password") == []


def test_a_value_hidden_behind_a_token_is_still_found() -> None:
    assert found(f"{TOKEN}bob@example.org") == [("EMAIL", "bob@example.org")]
    assert found(f"{TOKEN} hunter2!", key="password") == [("SECRET", "hunter2!")]


@given(st.text(alphabet="ab@.1234567890 -+():\"'=\u200b%40PII_EMAIL_BCDFGHJKMN", max_size=80))
def test_findings_are_in_order_apart_and_repeatable(text: str) -> None:
    findings = full_detector().find(text)
    assert findings == full_detector().find(text)
    end = 0
    for finding in findings:
        assert end <= finding.start < finding.end <= len(text)
        end = finding.end


def test_too_long_a_text_is_refused_by_its_bytes_without_quoting_it() -> None:
    detector = build_detector(RedactionSettings(types=("SECRET",), max_text_bytes=10))
    assert detector.find("a" * 10) == ()
    for text in ("a" * 11, "é" * 6, "\ud800" * 4):
        with pytest.raises(ClientError, match="longer than redaction may scan") as caught:
            detector.find(text)
        assert text not in str(caught.value)


def test_types_that_are_not_asked_for_are_not_found() -> None:
    detector = build_detector(RedactionSettings(types=("EMAIL",)))
    text = '{"password": "hunter2!"} 212-555-0123 bob@example.org'
    assert [one.kind for one in detector.find(text)] == ["EMAIL"]
    assert detector.find("hunter2!", key="password") == ()


def test_known_values_come_from_json_and_from_lines(tmp_path: Path) -> None:
    as_json, as_lines = tmp_path / "known.json", tmp_path / "known.txt"
    as_json.write_text('{"STAFF": ["Jack Doe"]}')
    as_lines.write_text("S6530532\n\n S2874099 \n")
    assert read_known_values(as_json) == {"STAFF": ("Jack Doe",)}
    assert read_known_values(as_lines) == {"KNOWN": ("S6530532", "S2874099")}
    detector = build_detector(RedactionSettings(types=(), known_values_file=as_lines))
    assert [one.kind for one in detector.find("patient S2874099")] == ["KNOWN"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("known.json", b'{"STAFF": [', "is not JSON"),
        ("known.txt", b"abc\n", "has 3 characters"),
        ("known.txt", b"\xff\xfe\xff", "not UTF-8"),
        ("known.json", b'{"STAFF": "Jack Doe"}', "are a list of strings"),
    ],
)
def test_a_bad_file_of_known_values_is_an_operator_error(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OperatorError, match=sentence):
        build_detector(RedactionSettings(known_values_file=tmp_path / name))


def test_a_missing_file_of_known_values_is_an_operator_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot read known_values_file"):
        build_detector(RedactionSettings(known_values_file=tmp_path / "absent.txt"))


def test_importing_the_detector_loads_neither_presidio_nor_spacy() -> None:
    code = (
        "import sys, policies.redaction.detect, policies.redaction.mask, policies.redaction.settings as s\n"
        "policies.redaction.detect.build_detector(s.RedactionSettings(types=('SECRET',)))\n"
        "print([m for m in ('presidio_analyzer', 'spacy', 'phonenumbers', 'tldextract') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_a_detector_of_all_kinds_loads_no_language_model_and_leaves_presidio_as_it_was() -> None:
    code = (
        "import sys, policies.redaction.detect, policies.redaction.settings as s\n"
        "found = policies.redaction.detect.build_detector(s.RedactionSettings()).find('bob@example.org 10.1.2.3')\n"
        "print([f.kind for f in found], [m for m in ('presidio_analyzer.nlp_engine', 'spacy') if m in sys.modules])\n"
        "from importlib.util import find_spec\n"
        "print(find_spec('presidio_analyzer.nlp_engine').origin)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    found, origin = run.stdout.splitlines()
    assert found == "['EMAIL', 'IP'] []"
    assert origin.endswith("__init__.py")


def test_building_and_using_the_detector_touches_neither_network_nor_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_network(*_: object, **__: object) -> socket.socket:
        raise AssertionError("redaction opened a socket")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv("HOME", str(tmp_path))
    recognisers = PresidioRecognisers(PRESIDIO_KINDS)
    assert [one.kind for one in recognisers.find("bob@example.org, 212-555-0123")] == ["EMAIL", "PHONE"]
    assert list(tmp_path.iterdir()) == []
