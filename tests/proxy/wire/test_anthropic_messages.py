from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.anthropic_messages import read_messages
from proxy.wire.choose import wire_of
from proxy.wire.layout import read_layout
from tests.support import anthropic_sdk
from tests.support.anthropic_requests import HI, PATH, WIRE, layout, raw, sent, tool
from tests.support.cassettes import exchanges
from tests.support.judging import Judge
from trajectory.conversation import Message, Opaque, Text, ToolCall, ToolDefinition, ToolResult
from trajectory.errors import FormatError


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/anthropic/v1/messages", "/messages"])
def test_asking_and_counting_are_judged(path: str) -> None:
    assert wire_of("POST", path) == "anthropic.messages"


@pytest.mark.parametrize(
    "path", ["/v1/messages/batches", "/v1/messages/batches/b/cancel", "/v1/threads/t/messages", "/v1/complete"]
)
def test_batches_and_other_apis_are_no_route(path: str) -> None:
    assert wire_of("POST", path) is None


def test_what_is_asked() -> None:
    asked = WIRE.read_request(
        layout(stream=True, tools=[tool("a")], tool_choice={"type": "tool", "name": "a"}), "/v1/messages"
    )
    assert (asked.model, asked.streamed, asked.max_tokens, asked.forced_tool) == ("m", True, 9, "a")
    assert asked.tools == (ToolDefinition("a", "does a", '{"type":"object"}'),)
    assert not asked.counts


def test_a_count_is_judged_like_what_it_counts_and_is_no_turn() -> None:
    asked = WIRE.read_request(layout(tools=[tool("a")]), "/v1/messages/count_tokens?beta=true")
    assert (asked.counts, [t.name for t in asked.tools]) == (True, ["a"])
    assert WIRE.read_reply(b'{"input_tokens":12}', Judge()).client == b'{"input_tokens":12}'


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "hi"},
        {"model": None},
        {"tools": {}},
        {"tools": ["a"]},
        {"tools": [{"description": "nameless"}]},
        {"tools": [{"type": "custom"}]},
        {"mcp_servers": [{"type": "url", "url": "https://x"}]},
        {"thread": {"type": "continue", "previous_message_id": "msg_1"}},
        {"messages": [{"role": "system", "content": [{"type": "tool_addition"}]}]},
        {"messages": [{"role": "system", "content": [{"type": "tool_addition", "tool": {"type": "tool_definition"}}]}]},
    ],
)
def test_what_cannot_be_judged_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        WIRE.read_request(layout(**fields), PATH)


def test_messages_in_neutral_words() -> None:
    body = json.dumps({
        "model": "m", "system": [{"type": "text", "text": "Be brief."}], "messages": [
            HI,
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Let "},
                {"type": "text", "text": "me."}, {"type": "tool_use", "id": "t", "name": "a", "input": {"x": 1.50}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "no"}],
                 "is_error": True}, {"type": "text", "text": "so?"}]},
            {"role": "system", "content": "be kind"},
        ],
    }).replace("1.5", "1.50").encode()  # fmt: skip
    assert read_messages(body) == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("hi"),)),
        Message("assistant", (Opaque("thinking"), Text("Let me."), ToolCall("t", "a", '{"x": 1.50}'))),
        Message("tool", (ToolResult("t", "no", is_error=True), Text("so?"))),
        Message("system", (Text("be kind"),)),
    )


def test_links_are_the_calls_that_the_new_part_answers_and_the_reply_it_follows() -> None:
    answer = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i} for i in ("t1", "t2")]}
    assert WIRE.links(layout(messages=[HI, answer])) == ["t1", "t2"]
    assert WIRE.links(layout(diagnostics={"previous_message_id": "msg_1"})) == ["msg_1"]


def test_another_model_answers_alone() -> None:
    laid = layout(fallbacks="default", temperature=1)
    WIRE.set_model(laid, "other", {"max_tokens": 5})
    assert sent(laid) == {"model": "other", "max_tokens": 5, "messages": [HI], "temperature": 1}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "tool_not_allowed", "permission_error"),
        (429, "spend_budget_exhausted", "billing_error"),
        (502, "upstream_unreachable", "api_error"),
        (504, "upstream_timeout", "timeout_error"),
    ],
)
def test_errors_are_the_formats_own(status: int, code: str, kind: str) -> None:
    error = anthropic_sdk.error_of(WIRE.error(status, code, "no é").body, status)
    assert error.status_code == status
    assert error.body["error"]["type"] == kind
    assert error.body["error"]["message"] == "no é"
    assert error.body["error"]["details"] == {"code": code}
    assert WIRE.refusal_status == 403


def test_an_error_within_a_stream_raises_in_the_official_client() -> None:
    stream = WIRE.final_message("x", "m", True).body.split(b"event: message_delta")[0]
    with pytest.raises(anthropic_sdk.errors(), match="broke off"):
        anthropic_sdk.accumulated(stream + WIRE.error_event("upstream_broke", "it broke off"))


def test_a_final_message_is_one_for_the_official_client() -> None:
    whole = anthropic_sdk.parsed(WIRE.final_message("Policy ended this.", "m", False).body)
    streamed = anthropic_sdk.accumulated(WIRE.final_message("Policy ended this.", "m", True).body)
    for message in (whole, streamed):
        assert (message.content[0].text, message.stop_reason, message.model) == ("Policy ended this.", "end_turn", "m")


def recorded() -> list[Any]:
    found = [*exchanges("/v1/messages"), *exchanges("/v1/messages/count_tokens")]
    return [one for one in found if one.host == "api.anthropic.com" and one.status == 200]


def test_recorded_requests_are_understood_and_pass_byte_for_byte() -> None:
    requests = [one.request for one in recorded() if one.request]
    assert len(requests) > 50
    for body in requests:
        laid = read_layout(body, "messages")
        asked = WIRE.read_request(laid, "/v1/messages")
        WIRE.drop_tools(laid, frozenset({"no such tool"}))
        assert raw(laid) == body
        parsed = json.loads(body)
        assert asked.model == parsed["model"]
        assert len(asked.tools) >= len(parsed.get("tools") or ())
        assert read_messages(body)
