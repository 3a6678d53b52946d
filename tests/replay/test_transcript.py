from __future__ import annotations

import json

import pytest

from replay.transcript import read_messages
from trajectory.conversation import Message, Text, ToolResult
from trajectory.errors import FormatError


def test_results_are_no_word_of_the_user_whatever_the_format() -> None:
    anthropic = {"model": "m", "system": "S", "messages": [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "4"}]}]}  # fmt: skip
    chat = {"model": "m", "messages": [
        {"role": "system", "content": "S"}, {"role": "user", "content": "hi"},
        {"role": "tool", "tool_call_id": "t", "content": "4"}]}  # fmt: skip
    expected = (
        Message("system", (Text("S"),)),
        Message("user", (Text("hi"),)),
        Message("tool", (ToolResult("t", "4"),)),
    )
    assert read_messages("anthropic.messages", json.dumps(anthropic).encode()) == expected
    assert read_messages("openai.chat", json.dumps(chat).encode()) == expected


def test_a_format_that_is_not_known_is_an_error() -> None:
    with pytest.raises(FormatError):
        read_messages("from.the.future", b"{}")
