"""Replies that tell of an error though their status is 200: the attempt failed, whole or streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.choose import wire_at
from proxy.wire.openai_responses_stream import ResponsesStream
from tests.support.chat_stream import DONE, chunk, read
from tests.support.driving import Driven, asking, hall
from tests.support.judging import Judge
from tests.support.spoken import FORMATS

ERROR = {"code": 503, "message": "no room", "status": "UNAVAILABLE"}
FAILED: dict[str, tuple[str, Any]] = {
    "openai.chat": ("/v1/chat/completions", {"error": ERROR}),
    "openai.chat choice": (
        "/v1/chat/completions",
        {"choices": [{"message": {"content": "hal"}, "finish_reason": "length", "error": ERROR}]},
    ),
    "openai.responses": ("/v1/responses", {"id": "r", "status": "failed", "output": [], "error": ERROR}),
    "openai.responses without a status": ("/v1/responses", {"error": ERROR}),
    "openai.responses with a null status": ("/v1/responses", {"output": [], "status": None, "error": ERROR}),
    "gemini.interactions without a status": ("/v1/interactions", {"error": ERROR}),
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


@pytest.mark.parametrize(
    ("name", "path"), [("openai.responses", "/v1/responses"), ("gemini.interactions", "/v1/interactions")]
)
def test_what_somebody_cancelled_is_no_complete_reply(name: str, path: str) -> None:
    body = json.dumps({"id": "r", "status": "cancelled", "output": [], "steps": []}).encode()
    read = wire_at(name, path).read_reply(body, Judge())
    assert (read.failed, read.reply.finish) == (True, "cancelled")


@pytest.mark.parametrize("event", ["response.cancelled", "response.completed"])
def test_a_stream_that_was_cancelled_is_no_complete_reply(event: str) -> None:
    reader = ResponsesStream(Judge())
    said = {"type": event, "response": {"id": "r", "status": "cancelled", "output": []}}
    step = reader.feed(b"data: " + json.dumps(said).encode() + b"\n\n")
    assert step.last and (reader.failed, reader.reply().finish) == (True, "cancelled")


@pytest.mark.parametrize(
    "choice", [{"finish_reason": "length", "error": ERROR}, {"finish_reason": None, "error": ERROR},
               {"finish_reason": "error"}],
)  # fmt: skip
def test_an_error_in_a_choice_of_a_stream_is_a_failure(choice: dict[str, Any]) -> None:
    stream = chunk({"content": "hal"}) + _chunk_of(choice) + DONE
    out, reply, _, reader = read(stream)
    assert (out, reader.failed, reply.finish) == (stream, True, "error")


def _chunk_of(choice: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"id": "c", "choices": [{"index": 0, "delta": {}, **choice}]}).encode() + b"\n\n"


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
