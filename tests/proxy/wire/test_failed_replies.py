"""Replies that tell of an error though their status is 200: the attempt failed, whole or streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.choose import wire_at
from tests.support.driving import Driven, asking, hall
from tests.support.judging import Judge
from tests.support.spoken import FORMATS

ERROR = {"code": 503, "message": "no room", "status": "UNAVAILABLE"}
FAILED: dict[str, tuple[str, Any]] = {
    "openai.chat": ("/v1/chat/completions", {"error": ERROR}),
    "openai.responses": ("/v1/responses", {"id": "r", "status": "failed", "output": [], "error": ERROR}),
    "anthropic.messages": ("/v1/messages", {"type": "error", "error": {"type": "overloaded_error"}}),
    "gemini.generate": ("/v1/models/g:generateContent", {"error": ERROR}),
    "gemini.generate array": ("/v1/models/g:streamGenerateContent", [{"error": ERROR}]),
    "gemini.interactions": ("/v1/interactions", {"id": "i", "status": "failed", "steps": []}),
    "ollama.chat": ("/api/chat", {"error": "no such model"}),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_whole_reply_that_tells_of_an_error_has_failed(name: str) -> None:
    path, body = FAILED[name]
    read = wire_at(name.partition(" ")[0], path).read_reply(json.dumps(body).encode(), Judge())
    assert (read.failed, read.reply.finish) == (True, "error")


@pytest.mark.parametrize("spoken", [one for one in FORMATS if one.name != "mcp"], ids=repr)
def test_one_that_tells_of_none_has_not(spoken: Any) -> None:
    assert not spoken.wire.read_reply(spoken.whole, Judge()).failed


def test_a_failed_reply_is_a_failed_attempt() -> None:
    driven = Driven(hall())
    driven.ask(asking())
    body = json.dumps(FAILED["openai.chat"][1]).encode()
    assert driven.reply(body) == body
    assert driven.attempt.end == "failed"


@pytest.mark.parametrize("streamed", [False, True])
def test_calls_say_more_than_the_finish_reason_of_a_compatible_server(streamed: bool) -> None:
    spoken = FORMATS[0]
    raw = b"".join(spoken.frames) if streamed else spoken.whole
    raw = raw.replace(b'"finish_reason": "tool_calls"', b'"finish_reason": "stop"')
    reader = spoken.reader(Judge())
    reply = (reader.feed(raw), reader.reply())[1] if streamed else spoken.wire.read_reply(raw, Judge()).reply
    assert reply.finish == "tool_call"
