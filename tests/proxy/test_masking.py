from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.redaction.pseudonyms import Vault
from policies.redaction.restore import restore
from proxy.masking import (
    is_content,
    mask_json,
    mask_plain,
    mask_section,
    mask_text,
    unknown_texts,
)
from proxy.redactor import Redactor
from proxy.wire.layout import read_layout
from tests.support.detecting import redactor
from tests.support.json_texts import spelled, values

EMAIL = "bob@example.org"


def fresh() -> tuple[Redactor, Vault]:
    made = redactor()
    return made, made.new_vault()


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = json.dumps({"x": value})
    return value


@given(st.data(), values)
def test_masked_json_is_the_same_json_but_for_the_values(data: st.DataObject, value: Any) -> None:
    value = {"messages": [value, {"content": f"Ask {EMAIL}, é."}]}
    raw = data.draw(st.composite(lambda draw: spelled(draw, value))()).encode()
    detector, vault = fresh()
    masked, issued = mask_json(raw, detector, vault)
    assert issued == (("EMAIL", EMAIL),)
    token = vault.issue("EMAIL", EMAIL)
    assert json.loads(masked) == json.loads(json.dumps(value).replace(EMAIL, token))
    assert mask_json(masked, detector, vault) == (masked, ())


@given(values)
def test_json_without_personal_data_keeps_its_bytes(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert mask_json(raw, *fresh())[0] is raw


@pytest.mark.parametrize("depth", range(4))
def test_values_in_json_inside_strings_are_masked_at_each_level_of_escapes(depth: int) -> None:
    detector, vault = fresh()
    raw = json.dumps({"arguments": nested(f'say "hi" to {EMAIL}', depth)}).encode()
    masked = mask_json(raw, detector, vault)[0]
    value = json.loads(masked)["arguments"]
    for _ in range(depth):
        value = json.loads(value)["x"]
    assert value == f'say "hi" to {vault.issue("EMAIL", EMAIL)}'


@pytest.mark.parametrize(
    "text",
    [
        f"data: {EMAIL}", f"data:{EMAIL}", f"data:text/plain,{EMAIL}", f"data:;base64,{EMAIL}",
        f"data:image/png;base64,AAAA {EMAIL}", f"[1, {EMAIL}", "{ not json: " + EMAIL, f'{{"a":"\\d {EMAIL}"}}',
    ],
)  # fmt: skip
def test_no_prefix_makes_a_text_pass_unread(text: str) -> None:
    detector, vault = fresh()
    for key in ("content", "url", "data", "file_data"):
        masked, _ = mask_json(json.dumps({key: text}).encode(), detector, vault)
        assert EMAIL.encode() not in masked


def test_files_in_base64_are_not_read() -> None:
    base64 = "QUJD" * 300
    for key, text in (("url", f"data:image/png;base64,{base64}"), ("data", base64), ("b64_json", base64[:600] + "==")):
        assert not is_content(key, text)
    assert is_content("content", base64)
    assert is_content("data", "555123456")
    assert is_content("data", "a word and another " * 60)


def test_the_protocol_of_a_model_call_is_left_alone_and_a_tools_is_not() -> None:
    detector, vault = fresh()
    raw = json.dumps({"id": EMAIL, "role": EMAIL}).encode()
    assert mask_json(raw, detector, vault)[0] == raw
    assert EMAIL.encode() not in mask_json(raw, detector, vault, has_structure=False)[0]


@pytest.mark.parametrize("field", ["metadata", "labels", "requestMetadata"])
def test_what_a_client_notes_beside_a_conversation_is_masked_under_any_key(field: str) -> None:
    detector, vault = fresh()
    noted = {"name": EMAIL, "id": EMAIL, "status": "open", "user": EMAIL}
    layout = read_layout(json.dumps({"model": "m", "messages": [], field: noted}).encode(), "messages")
    assert {text for text, _ in unknown_texts(layout.sections(), detector)} >= {EMAIL}
    for section in layout.unsearched():
        mask_section(section, detector, vault)
    sent = json.loads(b"".join(span.data for span in layout.assembled()))
    token = vault.issue("EMAIL", EMAIL)
    assert sent[field] == {"name": token, "id": token, "status": "open", "user": token}


@given(st.lists(st.sampled_from([EMAIL, " ", "x", "é", '"', "\\", "{", "}", "PII_"]), max_size=8).map("".join))
def test_restoring_a_masked_text_gives_it_back(text: str) -> None:
    detector, vault = fresh()
    masked = mask_plain(text, detector, vault)
    assert restore(masked, vault.value) == text
    assert mask_plain(masked, detector, vault) == masked


def test_a_value_found_inside_nested_json_is_not_masked_a_second_time_from_outside() -> None:
    detector, vault = fresh()
    text = json.dumps({"to": EMAIL, "n": 555123456})
    replaced = sorted(mask_text(text, detector, vault))
    assert [text[start:end] for start, end, _ in replaced] == [EMAIL, "555123456"]
