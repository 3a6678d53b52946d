from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.layout import Layout, read_layout
from proxy.wire.openai_chat import OpenAIChat, read_messages
from tests.support import openai_sdk
from tests.support.cassettes import exchanges
from tests.support.driving import asking, completion
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring
from trajectory.conversation import Opaque, Text, ToolCall, ToolResult
from trajectory.errors import FormatError

CHAT = OpenAIChat()
CALLS = (("c0", "a", '{"x":1}'), ("c1", "b", '{"y":2}'), ("c2", "c", '{"z":3}'))


def laid_out(**more: Any) -> Layout:
    return read_layout(asking("hi", **more), CHAT.list_key)


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def sent(layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(b"".join(span.data for span in layout.assembled()))
    return found


# --- requests ---


def test_a_request_is_read_as_what_it_asks_for() -> None:
    tools = [function("a", description="d", parameters={"type": "object"}), {"type": "custom", "custom": {"name": "b"}}]
    asked = CHAT.read_request(
        laid_out(tools=tools, functions=[{"name": "c"}], max_tokens=7, tool_choice=function("a"), stream=True), "/x"
    )
    assert (asked.model, asked.streamed, asked.max_tokens, asked.forced_tool) == ("m", True, 7, "a")
    assert [(t.name, t.description) for t in asked.tools] == [("a", "d"), ("b", ""), ("c", "")]


def test_a_provider_run_tool_is_known_by_its_type_and_not_by_a_name_it_gives_itself() -> None:
    tools = [
        {"type": "web_search", "name": "allowed", "function": {"name": "allowed"}},
        {"type": "mcp", "server_url": "x"},
    ]
    assert [t.name for t in CHAT.read_request(laid_out(tools=tools), "/x").tools] == ["web_search", "mcp"]


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [1]}, {"tools": {}}, {"tools": [{}]}, {"tools": [{"type": 1}]}, {"tools": [{"type": "function"}]},
        {"tools": [{**function("a"), "custom": {"name": "b"}}]}, {"tools": [function("a") | {"function": {"name": 1}}]},
        {"functions": ["a"]}, {"model": 7}, {"model": None},
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_judged_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        CHAT.read_request(laid_out(**more), "/x")


@given(st.sets(st.sampled_from("abcd")))
def test_dropped_tools_leave_the_others_byte_for_byte(drop: set[str]) -> None:
    tools = [function(name, parameters={"n": 1.50}) for name in "abcd"]
    layout = laid_out(tools=tools, tool_choice="auto", parallel_tool_calls=False, z=1)
    CHAT.drop_tools(layout, frozenset(drop))
    left = sent(layout)
    kept = [tool for tool in tools if tool["function"]["name"] not in drop]
    assert left.get("tools", []) == kept
    assert ("tool_choice" in left, "parallel_tool_calls" in left, "z" in left) == (bool(kept), bool(kept), True)
    if not drop:
        assert b"".join(span.data for span in layout.assembled()) == layout.body


def test_the_older_functions_are_dropped_with_what_needs_them_and_empty_lists_are_left_alone() -> None:
    layout = laid_out(tools=[], functions=[{"name": "bad"}], function_call="auto")
    CHAT.drop_tools(layout, frozenset({"bad"}))
    assert sent(layout).keys() == {"model", "messages", "tools"}
    layout = laid_out(tools=None, functions=[{"name": "bad"}, {"name": "ok"}])
    CHAT.drop_tools(layout, frozenset({"bad"}))
    assert sent(layout)["functions"] == [{"name": "ok"}] and sent(layout)["tools"] is None


def test_a_choice_of_allowed_tools_is_narrowed_with_the_tools() -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("a"), function("b")]}}
    layout = laid_out(tools=[function("a"), function("b")], tool_choice=choice)
    CHAT.drop_tools(layout, frozenset({"b"}))
    assert sent(layout)["tool_choice"]["allowed_tools"]["tools"] == [function("a")]


def test_another_model_is_set_in_its_place_and_parameters_behind() -> None:
    layout = laid_out(temperature=1)
    CHAT.set_model(layout, "other", {"temperature": 0.5, "seed": 3})
    assert sent(layout) == {
        "model": "other", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "seed": 3,
    }  # fmt: skip


def test_messages_are_read_into_the_neutral_conversation() -> None:
    body = asking(
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "custom", "custom": {"name": "free", "input": "text"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "4"}]},
        {"role": "assistant", "content": "", "function_call": {"name": "old", "arguments": "{}"}},
        {"role": "function", "name": "old", "content": "5"},
    )  # fmt: skip
    assert [(m.role, m.parts) for m in read_messages(body)] == [
        ("system", (Text("be brief"),)),
        ("user", (Text("what?"), Opaque("image_url"))),
        ("assistant", (ToolCall("c1", "look", '{"a":1}'), ToolCall("c2", "free", "text"))),
        ("tool", (ToolResult("c1", "4"),)),
        ("assistant", (ToolCall("", "old", "{}"),)),
        ("tool", (ToolResult("old", "5"),)),
    ]  # fmt: skip


def test_recorded_requests_are_read_and_sent_byte_for_byte() -> None:
    bodies = [one.request for one in exchanges("/chat/completions") if one.request]
    assert len(bodies) > 200
    previous: Layout | None = None
    for body in bodies:
        layout = read_layout(body, CHAT.list_key, previous)
        CHAT.read_request(layout, "/x")
        assert b"".join(span.data for span in layout.assembled()) == body
        assert len(read_messages(body)) == len(json.loads(body)["messages"])
        previous = layout


# --- whole replies ---


@pytest.mark.parametrize("content", ["Let me see.", "", None])
@pytest.mark.parametrize("refused", ["", "a", "b", "c", "ab", "bc", "ac", "abc"])
def test_refused_calls_become_text_and_the_rest_stays(content: str | None, refused: str) -> None:
    body = completion(content, CALLS)
    got = CHAT.read_reply(body, Judge(refused))
    choice = openai_sdk.parsed(got.client).choices[0]
    left = [name for name in "abc" if name not in refused]
    assert [c.function.name for c in choice.message.tool_calls or ()] == left
    assert choice.finish_reason == ("tool_calls" if left else "stop")
    said = [content] * bool(content) + [notice(name) for name in refused]
    assert choice.message.content == ("\n\n".join(said) if refused else content)
    assert [c.name for c in got.reply.calls] == ["a", "b", "c"]
    if refused:
        assert got.client_reply is not None and [c.name for c in got.client_reply.calls] == left
    else:
        assert got.client is body


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_finish_reason_that_says_nothing_of_tools_stays(reason: str) -> None:
    body = completion(None, CALLS[:1]).replace(b'"tool_calls"}', f'"{reason}"}}'.encode())
    assert json.loads(CHAT.read_reply(body, Judge("a")).client)["choices"][0]["finish_reason"] == reason


def test_choices_and_the_older_function_call_are_judged_too() -> None:
    legacy = {
        "role": "assistant",
        "content": [{"type": "text", "text": "x"}],
        "function_call": {"name": "a", "arguments": "{}"},
    }
    whole = {"choices": [
        {"index": 0, "message": {"role": "assistant", "content": "kept"}, "finish_reason": "stop"},
        {"index": 1, "message": legacy, "finish_reason": "function_call"},
    ]}  # fmt: skip
    first, second = json.loads(CHAT.read_reply(json.dumps(whole).encode(), Judge("a")).client)["choices"]
    assert first == whole["choices"][0]
    assert second["message"]["function_call"] is None and second["finish_reason"] == "stop"
    assert second["message"]["content"] == [{"type": "text", "text": "x"}, {"type": "text", "text": notice("a")}]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"data: {}\n\n", b"[]", b"<html>", b'{"choices":{}}', b'{"choices":[{"message":{"tool_calls":{"0":{}}}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"a"},"custom":{"name":"b"}}]}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"bad","name":"ok"}}]}}]}',
        b'{"choices":[{"message":{"tool_calls":[]},"message":{}}]}', b'{"choices":[],"choices":[]}', b'{"choices":[]}x',
    ],
)  # fmt: skip
def test_a_reply_that_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        CHAT.read_reply(body, Judge())


def test_values_are_restored_in_text_and_arguments_and_never_in_reasoning() -> None:
    message = {
        "role": "assistant", "content": f"to {TOKEN}", "reasoning_content": TOKEN, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "a", "arguments": json.dumps({"to": [TOKEN]})}},
            {"id": "d", "type": "custom", "custom": {"name": "b", "input": TOKEN}}],
    }  # fmt: skip
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()
    got = CHAT.read_reply(body, restoring())
    shown = json.loads(got.client)["choices"][0]["message"]
    assert shown["content"] == f"to {VALUE}" and shown["reasoning_content"] == TOKEN
    assert json.loads(shown["tool_calls"][0]["function"]["arguments"]) == {"to": [VALUE]}
    assert shown["tool_calls"][1]["custom"]["input"] == VALUE
    assert got.restored == 3 and TOKEN in got.reply.text


# --- our own words ---


def test_errors_and_last_words_are_what_the_official_client_expects() -> None:
    rendered = CHAT.error(400, "tool_not_allowed", 'no "x"')
    with pytest.raises(openai_sdk.errors()) as raised:
        openai_sdk.client(rendered.body, rendered.content_type, 400).chat.completions.create(model="m", messages=[])
    assert raised.value.code == "tool_not_allowed" and 'no "x"' in str(raised.value)
    with pytest.raises(openai_sdk.errors(), match="too much"):
        openai_sdk.chunks(CHAT.error_event("egress_budget_exhausted", "too much"))
    whole = openai_sdk.parsed(CHAT.final_message("over", "m", False).body).choices[0]
    streamed = openai_sdk.accumulated(CHAT.final_message("over", "m", True).body).choices[0]
    assert [(c.message.content, c.finish_reason) for c in (whole, streamed)] == [("over", "stop")] * 2
