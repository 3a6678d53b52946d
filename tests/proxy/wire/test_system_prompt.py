from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.choose import WIRES
from proxy.wire.layout import Layout, read_layout
from proxy.wire.system_prompt import PROMPT_WIRES, put_prompt, read_prompt

USER = {"role": "user", "content": "hi"}
CACHED = {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}}
ONE_TEXT: dict[str, dict[str, Any]] = {
    "openai.chat": {"model": "m", "messages": [{"role": "developer", "content": "one"}, USER]},
    "openai.responses": {"instructions": "one", "input": "hi", "model": "m"},
    "anthropic.messages": {"system": "one", "messages": [USER], "model": "m"},
    "gemini.generate": {"systemInstruction": {"parts": [{"text": "one"}]}, "contents": [{"parts": [{"text": "hi"}]}]},
}


def laid_out(wire: str, body: dict[str, Any] | bytes, previous: Layout | None = None) -> Layout:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_layout(raw, WIRES[wire].list_key, previous)


def sent(layout: Layout) -> bytes:
    return b"".join(span.data for span in layout.assembled())


def test_every_wire_that_has_a_place_for_it_is_tried_here() -> None:
    assert ONE_TEXT.keys() == PROMPT_WIRES


@pytest.mark.parametrize("wire", sorted(ONE_TEXT))
@given(text=st.text())
def test_only_the_text_changes(wire: str, text: str) -> None:
    body = json.dumps(ONE_TEXT[wire], indent=1).encode()
    layout = laid_out(wire, body)
    assert read_prompt(wire, layout) == ("one",)
    assert put_prompt(wire, layout, (text,))
    encoded = b'"one"' if text == "one" else json.dumps(text, ensure_ascii=False).encode()
    before, after = body.split(b'"one"')
    changed = sent(layout)
    assert changed.startswith(before)
    assert changed.endswith(after)
    assert json.loads(changed[len(before) : len(changed) - len(after)]) == json.loads(encoded)


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        ("openai.chat", {"messages": [{"role": "system", "content": "one"}, {"role": "developer", "content": "two"}]}),
        ("openai.chat", {"messages": [{"role": "system", "content": [{"type": "text", "text": "one"}, CACHED]}, USER]}),
        ("openai.responses", {"instructions": "one", "input": [{"role": "developer", "content": "two"}, USER]}),
        ("anthropic.messages", {"system": [{"type": "text", "text": "one"}, CACHED], "messages": [USER]}),
        ("gemini.generate", {"system_instruction": {"parts": [{"text": "one"}, {"text": "two"}]}, "contents": []}),
    ],
)  # fmt: skip
def test_several_texts_are_each_replaced_where_they_stand(wire: str, body: dict[str, Any]) -> None:
    layout = laid_out(wire, body)
    assert read_prompt(wire, layout) == ("one", "two")
    assert put_prompt(wire, layout, ("one", "2"))
    assert json.loads(sent(layout)) == json.loads(json.dumps(body).replace('"two"', '"2"'))


def test_one_text_takes_the_place_of_all_blocks_and_keeps_the_cache_mark() -> None:
    first = {"type": "text", "text": "one"}
    layout = laid_out("anthropic.messages", {"system": [first, first, CACHED], "messages": [USER]})
    assert put_prompt("anthropic.messages", layout, ("new",))
    assert json.loads(sent(layout))["system"] == [{**CACHED, "text": "new"}]


def test_one_text_does_not_stand_for_several_messages() -> None:
    body = {"messages": [{"role": "system", "content": "one"}, {"role": "system", "content": "two"}, USER]}
    layout = laid_out("openai.chat", body)
    assert not put_prompt("openai.chat", layout, ("new",))
    assert json.loads(sent(layout)) == body


def test_what_the_system_says_later_is_no_prompt() -> None:
    layout = laid_out("openai.chat", {"messages": [USER, {"role": "system", "content": "late"}]})
    assert read_prompt("openai.chat", layout) == ()
    assert not put_prompt("openai.chat", layout, ("new",))


@pytest.mark.parametrize("wire", sorted(ONE_TEXT))
def test_the_same_prompt_is_sent_in_every_later_request(wire: str) -> None:
    body = dict(ONE_TEXT[wire])
    first = laid_out(wire, body)
    assert put_prompt(wire, first, ("new",))
    key = WIRES[wire].list_key
    if isinstance(body[key], list):
        body[key] = [*body[key], *body[key][-1:]]
    later = laid_out(wire, body, first)
    assert read_prompt(wire, later) == ("one",)
    assert put_prompt(wire, later, ("new",))
    assert json.loads(sent(later)) == json.loads(json.dumps(body).replace('"one"', '"new"'))


def test_other_formats_have_no_place_for_it() -> None:
    layout = laid_out("openai.chat", {"messages": [{"role": "system", "content": "one"}]})
    assert read_prompt("ollama.chat", layout) == ()
