from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.choose import WIRES
from proxy.wire.layout import read_layout
from proxy.wire.mcp import read_message
from proxy.wire.mcp_reply import McpReply
from tests.support.judging import TOKEN, restoring
from trajectory.errors import FormatError

ODD: list[Any] = [[], {}, 7, True, [[]], {"type": []}]
HOLE = "HOLE"
EVENTS = {
    "openai.responses type": ("openai.responses", {"type": HOLE, "response": {}}),
    "openai.responses part": (
        "openai.responses",
        {"type": "response.output_text.delta", "output_index": 0, "content_index": HOLE, "delta": "a"},
    ),
    "anthropic.messages type": ("anthropic.messages", {"type": HOLE, "index": "x"}),
    "openai.chat call id": (
        "openai.chat",
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"id": HOLE, "function": {"name": "a"}}]}}]},
    ),
    "gemini.generate pieces": (
        "gemini.generate",
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "a", "partialArgs": [
            {"jsonPath": "$.x", "other": TOKEN, "stringValue": HOLE}]}}]}}]},
    ),
}  # fmt: skip
REQUESTS = {
    "openai.responses": ("/v1/responses", {"model": "m", "input": [{"type": HOLE}]}),
    "anthropic.messages": (
        "/v1/messages",
        {"model": "m", "messages": [{"role": "user", "content": [
            {"type": "tool_reference", "tool_name": HOLE}, {"type": HOLE}]}]},
    ),
    "ollama.chat": ("/api/chat", {"model": "m", "messages": [{"role": "user", "tool_calls": HOLE}]}),
}  # fmt: skip


def filled(shape: object, odd: object) -> bytes:
    return json.dumps(shape).replace(json.dumps(HOLE), json.dumps(odd)).encode()


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
@pytest.mark.parametrize(("name", "shape"), EVENTS.values(), ids=EVENTS.keys())
def test_an_event_of_any_shape_passes_or_is_refused(name: str, shape: object, odd: object) -> None:
    reader = WIRES[name].stream(restoring(("b",)))
    frame = b"data: " + filled(shape, odd) + b"\n\n"
    try:
        step = reader.feed(frame)
        end = reader.end()
    except FormatError:
        return
    assert step.send + step.last + end.last == frame


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_of_any_shape_is_read_or_refused(name: str, odd: object) -> None:
    path, shape = REQUESTS[name]
    wire = WIRES[name]
    body = filled(shape, odd)
    try:
        layout = read_layout(body, wire.list_key)
        wire.read_request(layout, path)
        for item in layout.items:
            wire.read_message(item.section)
        wire.drop_tools(layout, frozenset({"x"}))
    except FormatError:
        return
    assert b"".join(span.data for span in layout.assembled()) == body


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_a_list_of_tools_of_any_shape_passes(odd: object) -> None:
    reply = McpReply(None, lambda offered: frozenset())
    message = {"jsonrpc": "2.0", "id": 1, "result": {"tools": HOLE, "inputRequests": {"k": {
        "method": "sampling/createMessage", "params": {"tools": [{"name": "a"}]}}}}}  # fmt: skip
    body = filled(message, odd)
    assert read_message(body).is_response
    assert reply.whole(body) == body


def test_half_a_surrogate_pair_in_a_whole_replys_arguments_is_read() -> None:
    item = {"type": "shell_call", "call_id": "c", "action": {"commands": ["\ud83d"]}}
    body = json.dumps({"id": "r", "status": "completed", "output": [item]}).encode()
    (call,) = WIRES["openai.responses"].read_reply(body, restoring()).reply.calls
    assert json.loads(call.arguments) == item["action"]
