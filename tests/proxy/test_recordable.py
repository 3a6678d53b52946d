from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.pseudonyms import Vault
from proxy.recordable import Recordable
from proxy.redactor import Redactor
from tests.support.detecting import redactor
from tests.support.json_texts import spellings, values

EMAIL = "bob@example.org"
PHONE = "555123456"


def test_keys_and_numbers_are_masked_in_what_is_written_down() -> None:
    detector, vault = fresh()
    raw = json.dumps({EMAIL: {"phone": 555123456, "n": [555123457, 12345678, -1.5]}, "x\\": 1}).encode()
    recorded = json.loads(Recordable.of(raw).masked(detector, vault))
    email, phone = vault.issue("EMAIL", EMAIL), vault.issue("PHONE", "555123456")
    assert recorded == {email: {"phone": phone, "n": [vault.issue("PHONE", "555123457"), 12345678, -1.5]}, "x\\": 1}


planted = st.sampled_from([EMAIL, {EMAIL: 1}, int(PHONE), {"id": [int(PHONE)]}, json.dumps({"to": EMAIL})])


@given(st.data(), values, planted)
def test_wherever_a_value_stands_and_however_it_is_spelled_it_is_not_written_down(
    data: st.DataObject, value: Any, secret: Any
) -> None:
    raw = data.draw(spellings([value, {"x": secret}, value]))
    detector, vault = fresh()
    masked = Recordable.of(raw).masked(detector, vault)
    assert EMAIL.encode() not in masked
    assert PHONE.encode() not in masked
    before, _, after = json.loads(masked)
    assert before == after == json.loads(json.dumps(value))


@given(st.data(), values)
def test_what_holds_nothing_is_written_down_as_it_came(data: st.DataObject, value: Any) -> None:
    raw = data.draw(spellings(value))
    assert Recordable.of(raw).masked(*fresh()) is raw


def test_what_is_no_text_is_recorded_by_its_size_only() -> None:
    read = Recordable.of(b"\xff\x00" * 5)
    assert read.masked(*fresh()) == b"[10 bytes that are not text: not recorded while redaction is on]"
    assert read.texts == ()


@pytest.mark.parametrize(
    "body", [f"a {EMAIL} b", f"to={EMAIL}", f'{{"a":{EMAIL}}}', f"[{EMAIL}", f'{{"a":1,"a":"{EMAIL}"}}']
)
def test_what_is_not_json_is_masked_as_text(body: str) -> None:
    detector, vault = fresh()
    read = Recordable.of(body.encode())
    assert read.masked(detector, vault).decode() == body.replace(EMAIL, vault.issue("EMAIL", EMAIL))
    assert any(EMAIL in text for text, _ in read.texts)


def fresh() -> tuple[Redactor, Vault]:
    made = redactor()
    return made, made.new_vault()
