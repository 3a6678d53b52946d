from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.masking import is_content, mask_json, mask_section, unknown_texts
from proxy.wire.layout import Section
from proxy.wire.strings import SealedKey, ToolKey, collected
from tests.support.detecting import redactor

EMAIL = "bob@example.org"


def kinds(value: Any) -> dict[str, str]:
    return {text: {ToolKey: "tool", SealedKey: "sealed"}.get(type(key), "own") for key, text in collected(value)}


@pytest.mark.parametrize(
    "call",
    [
        {"type": "tool_use", "id": "i", "name": "n", "input": {"name": "A", "deep": [{"status": "B"}]}},
        {"functionCall": {"name": "n", "args": {"name": "A", "deep": [{"status": "B"}]}}},
        {"functionResponse": {"name": "n", "response": {"name": "A", "deep": [{"status": "B"}]}}},
        {"params": {"name": "n", "arguments": {"name": "A", "deep": [{"status": "B"}]}}},
        {"name": "n", "input_examples": [{"name": "A", "deep": [{"status": "B"}]}]},
    ],
)
def test_the_keys_of_a_tools_data_are_the_tools_own(call: dict[str, Any]) -> None:
    found = kinds([call])
    assert (found["A"], found["B"], found["n"]) == ("tool", "tool", "own")


def test_the_list_of_a_conversation_is_no_tools_data() -> None:
    assert set(kinds({"input": [{"role": "user", "content": "x"}], "model": "m"}).values()) == {"own"}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "X", "signature": "s"},
        {"type": "redacted_thinking", "data": "X"},
        {"type": "compaction", "content": "X", "signature": "s"},
        {"type": "compaction", "content": "X", "encrypted_content": "s"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "X"}], "encrypted_content": "s"},
    ],
)
def test_what_is_signed_is_sealed_and_passes_to_the_provider_as_it_is(block: dict[str, Any]) -> None:
    assert kinds([block])["X"] == "sealed"
    detector = redactor()
    raw = json.dumps({"role": "assistant", "content": [block]}).replace("X", EMAIL).encode()
    section = Section.of(raw)
    assert EMAIL not in [text for text, _ in unknown_texts([section], detector)]
    mask_section(section, detector, detector.new_vault())
    assert section.sent is raw
    # but it is not written down as it is; what stands under `data` is taken for bytes if it looks like them
    assert EMAIL.encode() not in mask_json(raw, detector, detector.new_vault())[0]


@pytest.mark.parametrize("kind", ["thinking", "compaction", "reasoning"])
def test_what_only_calls_itself_reasoning_is_masked(kind: str) -> None:
    detector = redactor()
    section = Section.of(json.dumps({"type": kind, "thinking": EMAIL, "signature": ""}).encode())
    mask_section(section, detector, detector.new_vault())
    assert EMAIL.encode() not in section.sent


def test_personal_data_under_a_structural_name_is_masked_in_what_a_tool_is_given() -> None:
    detector = redactor()
    call = {"type": "tool_use", "id": "toolu_1", "name": "send", "input": {"name": EMAIL, "id": EMAIL, "deep": [EMAIL]}}
    section = Section.of(json.dumps(call).encode())
    mask_section(section, detector, detector.new_vault())
    assert EMAIL.encode() not in section.sent
    assert json.loads(section.sent)["id"] == "toolu_1"
    assert is_content(ToolKey("name"), "x")
    assert not is_content("name", "x")


def test_a_plain_text_document_is_read_and_one_in_base64_is_not() -> None:
    detector = redactor()
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": f"Ask {EMAIL}."}}
    section = Section.of(json.dumps(plain).encode())
    mask_section(section, detector, detector.new_vault())
    assert EMAIL.encode() not in section.sent
