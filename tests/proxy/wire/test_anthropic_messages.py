from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.anthropic_messages import AnthropicMessages, read_messages
from proxy.wire.choose import wire_of
from proxy.wire.layout import Layout, read_layout
from tests.support import anthropic_sdk
from tests.support.anthropic_events import USAGE
from tests.support.cassettes import exchanges
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring
from trajectory.conversation import Message, Opaque, Reply, Text, ToolCall, ToolDefinition, ToolResult, Usage
from trajectory.errors import FormatError

WIRE = AnthropicMessages()
PATH = "/v1/messages?beta=true"
HI = {"role": "user", "content": "hi"}


def layout(**fields: Any) -> Layout:
    return read_layout(json.dumps({"model": "m", "max_tokens": 9, "messages": [HI], **fields}).encode(), "messages")


def sent(laid: Layout) -> Any:
    return json.loads(raw(laid))


def raw(laid: Layout) -> bytes:
    return b"".join(span.data for span in laid.assembled())


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"does {name}", "input_schema": {"type": "object"}, **more}


def names(laid: Layout) -> list[str]:
    return [one.name for one in WIRE.read_request(laid, PATH).tools]


def server(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "url", "name": name, "url": f"https://{name}.example/mcp", **more}


def toolset(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "mcp_toolset", "mcp_server_name": name, **more}


# --- which requests ---


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


# --- every door of tools ---


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (tool("a"), ["a"]),
        (tool("a", type="custom", defer_loading=True), ["a"]),
        ({"type": None, "name": "a", "input_schema": {}}, ["a"]),
        ({"type": "bash_20250124", "name": "bash"}, ["bash"]),
        ({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}, ["str_replace_based_edit_tool"]),
        ({"type": "memory_20250818", "name": "memory"}, ["memory"]),
        ({"type": "computer_20251124", "name": "computer"}, ["computer"]),
        ({"type": "web_search_20260209", "name": "web_search"}, ["web_search_20260209"]),
        ({"type": "web_fetch_20260309", "name": "web_fetch"}, ["web_fetch_20260309"]),
        ({"type": "code_execution_20260521", "name": "code_execution"}, ["code_execution_20260521"]),
        ({"type": "tool_search_tool_bm25_20251119", "name": "t"}, ["tool_search_tool_bm25_20251119"]),
        ({"type": "advisor_20260301", "name": "advisor", "model": "m"}, ["advisor_20260301"]),
        ({"type": "computer_toolset_20260801"}, ["computer_toolset_20260801"]),
        ({"type": "browser_toolset_20260801", "configs": {}}, ["browser_toolset_20260801"]),
        ({"type": "from_the_future", "name": "bash"}, ["from_the_future"]),
        (toolset("files"), ["mcp.files.*"]),
        (toolset("files", tools=[tool("read"), tool("write")]), ["mcp.files.read", "mcp.files.write"]),
        (
            toolset("files", default_config={"enabled": False}, configs={"read": {"enabled": True}, "rm": {}}),
            ["mcp.files.read"],
        ),
    ],
)
def test_each_kind_of_tool_has_a_name_for_the_allowlist(entry: dict[str, Any], expected: list[str]) -> None:
    assert names(layout(tools=[entry])) == expected
    laid = layout(tools=[tool("kept"), entry], tool_choice={"type": "any"})
    WIRE.drop_tools(laid, frozenset(expected))
    assert sent(laid)["tools"] == [tool("kept")]
    assert sent(laid)["tool_choice"] == {"type": "any"}


def test_dropping_tools_leaves_every_other_byte() -> None:
    before = b'{ "tools" : [ {"name":"a"},  {"name":"b"} , {"name":"c"}],"model":"m", "messages":[ {"role":"user"} ] }'
    laid = read_layout(before, "messages")
    WIRE.drop_tools(laid, frozenset("b"))
    assert raw(laid) == before.replace(b',  {"name":"b"}', b"")


def test_a_request_without_any_tool_left_names_none() -> None:
    laid = layout(tools=[tool("a")], tool_choice={"type": "auto"}, mcp_servers=[server("files")])
    WIRE.drop_tools(laid, frozenset({"a", "mcp.files.*"}))
    assert sent(laid).keys() == {"model", "max_tokens", "messages"}


def test_an_mcp_server_goes_with_its_toolset() -> None:
    listed = [tool("a"), toolset("files", tools=[tool("read"), tool("rm")]), toolset("web")]
    laid = layout(tools=listed, mcp_servers=[server("files"), server("web")])
    assert set(names(laid)) == {"a", "mcp.files.read", "mcp.files.rm", "mcp.web.*"}
    WIRE.drop_tools(laid, frozenset({"mcp.files.rm"}))
    assert sent(laid)["tools"] == [tool("a"), toolset("web")]
    assert sent(laid)["mcp_servers"] == [server("web")]


def test_an_mcp_server_of_the_older_beta_brings_tools_without_a_toolset() -> None:
    listed = [server("files", tool_configuration={"allowed_tools": ["read"]}), server("web")]
    laid = layout(mcp_servers=listed)
    assert names(laid) == ["mcp.files.read", "mcp.web.*"]
    WIRE.drop_tools(laid, frozenset({"mcp.web.*"}))
    assert sent(laid)["mcp_servers"] == [listed[0]]


def addition(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": entry}


def defining(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_definition", "definition": entry}


CHANGED = [
    HI,
    {"role": "system", "content": [addition(defining(tool("a"))), {"type": "text", "text": "new tools"},
                                   addition(defining({"type": "web_search_20260209", "name": "web_search"})),
                                   addition({"type": "tool_reference", "name": "b"})]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "tool_reference", "tool_name": "b"}, {"type": "tool_reference", "tool_name": "c"}]}]},
    {"role": "system", "content": [{"type": "tool_removal", "tool": {"type": "tool_reference", "name": "a"}}]},
]  # fmt: skip


def test_tools_that_come_in_mid_conversation_are_offered_and_kept_out() -> None:
    laid = layout(messages=CHANGED, tools=[tool("b", defer_loading=True), tool("c")])
    assert names(laid) == ["b", "c", "a", "web_search_20260209"]
    WIRE.drop_tools(laid, frozenset({"a", "b", "web_search_20260209"}))
    out = sent(laid)["messages"]
    assert [b["type"] for b in out[1]["content"]] == ["text"] * 4
    assert out[1]["content"][1]["text"] == "new tools"
    assert [b["type"] for b in out[2]["content"][0]["content"]] == ["text", "tool_reference"]
    assert [b["type"] for b in out[3]["content"]] == ["text"]
    assert b'"a"' not in raw(laid)


def test_a_tool_kept_out_stays_out_in_later_turns_byte_for_byte() -> None:
    first = layout(messages=CHANGED, tools=[tool("b"), tool("c")])
    names(first)
    WIRE.drop_tools(first, frozenset("a"))
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [*CHANGED, HI], "tools": [tool("b"), tool("c")]})
    second = read_layout(body.encode(), "messages", first)
    assert second.kept == len(CHANGED)
    assert "a" in names(second)
    WIRE.drop_tools(second, frozenset("a"))
    assert sent(second)["messages"][: len(CHANGED)] == sent(first)["messages"]


def test_a_message_of_which_nothing_is_left_still_says_what_the_client_brought() -> None:
    added = {"role": "system", "content": [addition(defining(tool("a")))]}
    first = layout(messages=[HI, added])
    WIRE.drop_tools(first, frozenset("a"))
    second = read_layout(
        json.dumps({"model": "m", "max_tokens": 9, "messages": [HI, added, HI]}).encode(), "messages", first
    )
    assert names(second) == ["a"]


def test_a_tool_added_within_a_compacted_range_is_offered_too() -> None:
    block = {"type": "compaction", "content": "…", "signature": "s", "tool_changes": [addition(defining(tool("a")))]}
    laid = layout(messages=[{"role": "assistant", "content": [block]}, HI])
    assert names(laid) == ["a"]
    WIRE.drop_tools(laid, frozenset("a"))
    assert b"does a" not in raw(laid)


def test_a_toolset_of_an_mcp_server_is_kept_out_mid_conversation() -> None:
    content = [
        addition(defining(toolset("files"))),
        addition({"type": "mcp_toolset_reference", "server_name": "files"}),
        addition({"type": "mcp_tool_reference", "server_name": "files", "name": "read"}),
        addition({"type": "mcp_tool_reference", "server_name": "web", "name": "read"}),
    ]
    laid = layout(messages=[HI, {"role": "system", "content": content}])
    assert names(laid) == ["mcp.files.*"]
    WIRE.drop_tools(laid, frozenset({"mcp.files.*"}))
    assert [b["type"] for b in sent(laid)["messages"][1]["content"]] == ["text"] * 3 + ["tool_addition"]


# --- messages ---


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


# --- whole replies ---


def reply(*content: dict[str, Any], stop: str | None = "tool_use", **more: Any) -> bytes:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": list(content)}
    return json.dumps({**head, "stop_reason": stop, "stop_sequence": None, "usage": USAGE, **more}).encode()


def use(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": arguments}


SAID = {"type": "text", "text": "Let me see."}
WHOLE = reply({"type": "thinking", "thinking": TOKEN, "signature": "s"}, SAID, use("a", x=1), use("b"), use("c", z=3))


def test_a_reply_that_no_rule_concerns_is_the_upstreams_own_bytes() -> None:
    read = WIRE.read_reply(WHOLE, restoring())
    assert read.client is WHOLE
    assert read.client_reply is None
    assert read.reply == Reply(
        "Let me see.",
        (ToolCall("toolu_a", "a", '{"x": 1}'), ToolCall("toolu_b", "b", "{}"), ToolCall("toolu_c", "c", '{"z": 3}')),
        "tool_call",
        Usage(27, 1, 5),
        "m-1",
        "msg_1",
    )


@pytest.mark.parametrize("refused", ["a", "b", "c", "ab", "bc", "ac", "abc"])
def test_a_refused_call_becomes_text_at_its_place(refused: str) -> None:
    read = WIRE.read_reply(WHOLE, Judge(refused))
    message = anthropic_sdk.parsed(read.client)
    left = [name for name in "abc" if name not in refused]
    for name, one in zip("abc", message.content[2:], strict=True):
        assert (one.type, one.text if name in refused else one.name) == (
            ("text", notice(name)) if name in refused else ("tool_use", name)
        )
    assert message.stop_reason == ("tool_use" if left else "end_turn")
    assert len(read.refused) == len(refused)
    assert len(read.reply.calls) == 3
    assert read.client_reply is not None
    assert [c.name for c in read.client_reply.calls] == left
    assert read.client_reply.finish == ("tool_call" if left else "end")
    # what was not concerned keeps its bytes
    assert read.client.startswith(WHOLE[: WHOLE.index(b'{"type": "tool_use"')])
    assert read.client.endswith(WHOLE[WHOLE.index(b'"stop_sequence"') :])


def test_values_come_back_where_a_person_or_a_tool_reads_them() -> None:
    cited = {"type": "char_location", "cited_text": TOKEN, "document_title": TOKEN, "encrypted_index": TOKEN}
    body = reply(
        {"type": "thinking", "thinking": TOKEN, "signature": TOKEN},
        {"type": "redacted_thinking", "data": TOKEN},
        {"type": "text", "text": f"to {TOKEN}", "citations": [cited]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": TOKEN}},
        {"type": "compaction", "content": TOKEN},
        use("a", to=TOKEN, nested={TOKEN: [TOKEN]}),
    )
    read = WIRE.read_reply(body, restoring())
    message = anthropic_sdk.parsed(read.client)
    assert message.content[2].text == f"to {VALUE}"
    citation = message.content[2].citations[0]
    assert (citation.cited_text, citation.document_title, citation.encrypted_index) == (VALUE, VALUE, TOKEN)
    assert message.content[5].input == {"to": VALUE, "nested": {VALUE: [VALUE]}}
    assert (message.content[0].thinking, message.content[0].signature) == (TOKEN, TOKEN)
    assert (message.content[1].data, message.content[3].input, message.content[4].content) == (
        TOKEN, {"query": TOKEN}, TOKEN,
    )  # fmt: skip
    assert read.restored == 6
    assert read.client_reply is not None
    assert read.client_reply.text == f"to {VALUE}"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"content":"text"}',
        b'{"content":[1]}',
        b'{"content":[{"type":"tool_use","name":"a","name":"b"}]}',
        b'{"content":[{"type":"tool_use"}]}',
        b'{"content":[]} trailing',
        b"\xff",
    ],
)
def test_a_reply_that_cannot_be_judged_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        WIRE.read_reply(body, Judge())


# --- our own words ---


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


# --- recorded ---


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


def test_recorded_replies_pass_and_read_as_the_official_client_reads_them() -> None:
    replies = [one.reply for one in recorded() if one.reply and one.reply.startswith(b"{")]
    assert len(replies) > 15
    for body in replies:
        read = WIRE.read_reply(body, restoring(["no such tool"]))
        assert read.client is body
        message = anthropic_sdk.parsed(body)
        if "content" not in json.loads(body):  # a count
            continue
        calls = [b for b in message.content if b.type == "tool_use"]
        assert [(c.id, c.name, json.loads(c.arguments)) for c in read.reply.calls] == [
            (b.id, b.name, b.input) for b in calls
        ]
        said = "".join(b.text for b in message.content if b.type == "text")
        assert read.reply.text.replace("\n", "") == said.replace("\n", "")
        assert read.reply.usage is not None
        assert read.reply.usage.output_tokens == message.usage.output_tokens
        assert (read.reply.finish == "tool_call") == (message.stop_reason == "tool_use")
