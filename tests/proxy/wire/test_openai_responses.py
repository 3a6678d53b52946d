from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.choose import WIRES, is_harmless, wire_of
from proxy.wire.format import Asked
from proxy.wire.layout import Layout, read_layout
from proxy.wire.openai_responses import OpenAIResponses, read_messages
from tests.support import openai_sdk
from tests.support import responses as r
from tests.support.cassettes import exchanges
from tests.support.json_texts import scalars
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring
from trajectory.conversation import Message, Opaque, Reply, Text, ToolCall, ToolResult, Usage
from trajectory.errors import FormatError

WIRE = OpenAIResponses()
PATH = "/v1/responses"


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object"}, **more}


def laid(previous: Layout | None = None, **body: Any) -> Layout:
    return read_layout(json.dumps({"model": "m-1", **body}, indent=1).encode(), WIRE.list_key, previous)


def asked(**body: Any) -> Asked:
    return WIRE.read_request(laid(**body), PATH)


def sent(layout: Layout) -> Any:
    return json.loads(b"".join(span.data for span in layout.assembled()))


def test_its_routes_are_judged_and_those_of_stored_responses_are_not_served() -> None:
    for path in ("/v1/responses", "/responses", "/openai/v1/responses", "/v1/responses/input_tokens"):
        assert wire_of("POST", path) == "openai.responses"
    for method, path in (
        ("GET", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1"), ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"), ("POST", "/v1/responses/compact"), ("POST", "/v1/conversations"),
        ("POST", "/v1/conversations/conv_1/items"), ("GET", "/v1/responses"), ("POST", "/v1/responses/"),
    ):  # fmt: skip
        assert wire_of(method, path) is None and not is_harmless(method, path)
    assert WIRES["openai.responses"].list_key == "input"


def test_a_request_is_read_with_input_as_text_or_as_items() -> None:
    whole = asked(input="hi", stream=True, max_output_tokens=9, tools=[tool("a")])
    assert (whole.model, whole.streamed, whole.max_tokens, whole.counts) == ("m-1", True, 9, False)
    assert asked(input=[{"role": "user", "content": "hi"}], background=False, tools=None).tools == ()
    assert not asked().streamed
    counted = WIRE.read_request(laid(input="hi", tools=[tool("a")]), "/v1/responses/input_tokens?x=1")
    assert counted.counts and counted.tools[0].name == "a"
    assert WIRE.read_request(read_layout(b"{}", "input"), "/v1/responses/input_tokens").model == ""


@pytest.mark.parametrize(
    "body",
    [
        {"model": None}, {"model": 3}, {"input": {"role": "user"}}, {"input": 3}, {"input": ["x"]},
        {"background": True}, {"background": 1}, {"background": "true"},
        {"tools": {}}, {"tools": ["x"]}, {"tools": [{}]}, {"tools": [{"type": "function"}]},
        {"tools": [{"type": 3}]}, {"tools": [{"type": "custom", "name": ["a"]}]},
        {"tools": [{"type": "function", "name": "ok", "function": {"name": "bad"}}]},
        {"tools": [{"type": "namespace", "tools": [tool("a")]}]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "namespace", "name": "m"}]}]},
        {"tools": [{"type": "mcp", "server_label": "x"}]},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "nowhere"}]},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "http://a", "connector_id": "b"}]},
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [{}]}]},
        {"prompt": {}}, {"prompt": "p"},
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_judged_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        asked(**body)


ADDITIONAL = {"type": "additional_tools", "role": "developer", "tools": [tool("late"), {"type": "shell"}]}


def test_links_name_the_conversation_the_reply_and_the_calls() -> None:
    output = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
    custom = {"type": "custom_tool_call_output", "call_id": "call_2", "output": "5"}
    layout = laid(previous_response_id="resp_1", conversation={"id": "conv_1"}, input=[output, custom])
    assert WIRE.links(layout) == ["conv_1", "resp_1", "call_1", "call_2"]
    assert WIRE.links(laid(conversation="conv_2", input="hi")) == ["conv_2"]
    first = laid(input=[output])
    assert WIRE.links(laid(first, input=[output, custom])) == ["call_2"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"role": "developer", "content": "a"}, Message("system", (Text("a"),))),
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"},
          {"type": "input_image", "image_url": "x"}]}, Message("user", (Text("a"), Opaque("input_image")))),
        (r.message("a"), Message("assistant", (Text("a"),))),
        (r.function("f", "{}"), Message("assistant", (ToolCall("call_f", "f", "{}"),))),
        (r.shell("ls"), Message("assistant", (ToolCall("call_sh", "shell", '{"commands":["ls"],"timeout_ms":100}'),))),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "4"}]},
         Message("tool", (ToolResult("c", "4"),))),
        ({"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "x"}]},
         Message("tool", (ToolResult("c", '[{"stdout":"x"}]'),))),
        ({"type": "apply_patch_call_output", "call_id": "c", "status": "completed"},
         Message("tool", (ToolResult("c", ""),))),
        (r.reasoning(), Message("assistant", (Opaque("reasoning"),))),
        ({"type": "compaction", "encrypted_content": "x"}, Message("assistant", (Opaque("compaction"),))),
        (ADDITIONAL, Message("system", (Opaque("additional_tools"),))),
        ({"id": "msg_1"}, Message("system", (Opaque("item_reference"),))),
    ],
)  # fmt: skip
def test_items_are_read_as_messages(item: dict[str, Any], message: Message) -> None:
    assert WIRE.read_message(laid(input=[item]).items[0].section) == message


def test_recorded_requests_begin_with_their_instructions() -> None:
    layout = json.dumps({"model": "m", "instructions": "Be brief.", "input": "hi"}).encode()
    assert read_messages(layout) == (Message("system", (Text("Be brief."),)), Message("user", (Text("hi"),)))
    items = json.dumps({"model": "m", "input": [{"role": "user", "content": "a"}, r.function("f")]}).encode()
    assert [m.role for m in read_messages(items)] == ["user", "assistant"]


def test_reasoning_and_the_conversation_are_never_searched() -> None:
    layout = laid(conversation="conv_0100000000", input=[r.reasoning("x"), {"role": "user", "content": "y"}])
    WIRE.read_request(layout, PATH)
    fresh = [text for section in layout.unsearched() for _, text in section.texts]
    assert fresh == ["user", "y", "m-1"]
    strange = laid(conversation="bob@example.org")
    WIRE.read_request(strange, PATH)
    assert "bob@example.org" in [text for section in strange.unsearched() for _, text in section.texts]


def test_another_model_is_set_in_place() -> None:
    layout = laid(reasoning={"summary": "auto"}, input="hi")
    WIRE.set_model(layout, "m-2", {"max_tokens": 7, "reasoning_effort": "low", "temperature": 0})
    assert sent(layout) == {
        "model": "m-2", "reasoning": {"summary": "auto", "effort": "low"}, "input": "hi", "max_output_tokens": 7,
        "temperature": 0,
    }  # fmt: skip
    assert WIRE.path_with_model("/v1/responses?a", "m-2") == "/v1/responses?a"


def test_a_refused_call_becomes_text_at_its_place_and_the_rest_keeps_its_bytes() -> None:
    body = r.body(r.reasoning(), r.message("See."), r.function("bad", '{"x":1}'), r.function("ok"))
    read = WIRE.read_reply(body, Judge(("bad",)))
    final = r.parsed(read.client)
    assert [item.type for item in final.output] == ["reasoning", "message", "message", "function_call"]
    assert final.output_text == f"See.{notice('bad')}"
    assert (final.output[2].id, final.usage.total_tokens) == ("msg_fc_bad", 29)
    bad = json.dumps(r.function("bad", '{"x":1}')).encode()
    before, after = body.split(bad)
    assert read.client.startswith(before) and read.client.endswith(after)
    assert [c.name for c in read.reply.calls] == ["bad", "ok"]
    assert read.client_reply is not None
    assert read.client_reply.calls == (ToolCall("call_ok", "ok", "{}"),)
    assert [v.subject for v in read.refused] == ["bad"]


def test_values_come_back_at_each_depth_of_json_and_never_in_reasoning() -> None:
    body = r.body(
        r.reasoning(TOKEN), r.message(f"to {TOKEN}"), r.function("a", json.dumps({"to": TOKEN})),
        r.custom("c", f"<{TOKEN}>"), r.shell(f"mail {TOKEN}"),
        {"type": "mcp_call", "id": "m", "name": "x", "arguments": TOKEN, "server_label": "s", "output": TOKEN},
        output_text=f"to {TOKEN}",
    )  # fmt: skip
    read = WIRE.read_reply(body, restoring())
    final = r.parsed(read.client)
    assert final.output_text == f"to {VALUE}" == json.loads(read.client)["output_text"]
    assert json.loads(final.output[2].arguments) == {"to": VALUE}
    assert final.output[3].input == f"<{VALUE}>"
    assert final.output[4].action.commands == [f"mail {VALUE}"]
    assert (final.output[0].summary[0].text, final.output[5].output) == (TOKEN, TOKEN)
    assert read.client_reply is not None and VALUE in read.client_reply.text
    assert TOKEN in read.reply.text


@pytest.mark.parametrize(
    ("body", "finish"),
    [
        (r.response(r.message("a")), "end"), (r.response(r.function("a")), "tool_call"), (r.response(), "end"),
        (r.response(status="failed"), "error"), (r.response(status="cancelled"), "cancelled"),
        (r.response(status="queued"), None), (r.response(status="incomplete"), "length"),
        (r.response(r.function("a"), status="incomplete", incomplete_details={"reason": "max_messages"}), "length"),
        (r.response(status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (r.response({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}), "refusal"),
    ],
)  # fmt: skip
def test_how_a_response_ended_is_told_by_its_status_and_its_items(body: dict[str, Any], finish: str | None) -> None:
    read = WIRE.read_reply(json.dumps(body).encode(), Judge())
    assert read.reply.finish == finish
    assert read.reply.text == {"end": "a" if body["output"] else "", "refusal": "no"}.get(str(finish), "")


def test_a_token_count_is_a_reply_without_output() -> None:
    body = b'{"object":"response.input_tokens","input_tokens":11}'
    read = WIRE.read_reply(body, restoring(("a",)))
    assert (read.client, read.reply) == (body, Reply(usage=Usage(11)))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"{} x", b'{"output":[],"output":[]}', b'{"a":NaN}'])
def test_a_reply_that_cannot_be_judged_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        WIRE.read_reply(body, Judge())


KEYS = (
    "type", "name", "namespace", "tools", "item", "response", "output", "input", "content", "text", "arguments",
    "action", "call_id", "id", "server_url", "tool_choice", "model", "status", "usage", "output_index",
    "delta", "function",
)  # fmt: skip
WORDS = (
    "function_call", "message", "function", "namespace", "mcp", "shell_call", "computer_call", TOKEN, "a",
    "additional_tools", "tool_search_output", "response.output_text.delta", "response.completed", "allowed_tools",
)  # fmt: skip
near_misses = st.recursive(
    scalars | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=16,
).map(lambda value: json.dumps(value).encode())


@given(near_misses | st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (
        lambda: WIRE.read_request(read_layout(body, WIRE.list_key), PATH),
        lambda: WIRE.read_reply(body, restoring(("a",))),
        lambda: WIRE.read_reply(b'{"output":[' + body + b"]}", restoring(("a",))),
        lambda: WIRE.stream(restoring(("a",))).feed(b"data: " + body + b"\n\n"),
        lambda: WIRE.stream(restoring(("a",))).feed(b'data: {"item":' + body + b',"output_index":0}\n\n'),
    ):
        try:
            read()
        except FormatError:
            continue


def test_refusals_are_errors_that_the_client_raises() -> None:
    rendered = WIRE.error(400, "tool_not_allowed", "No.")
    made = openai_sdk.client(rendered.body, rendered.content_type, rendered.status)
    with pytest.raises(openai_sdk.errors(), match="No") as raised:
        made.responses.create(model="m", input="x")
    assert raised.value.code == "tool_not_allowed"


def test_a_final_message_is_a_reply_like_any_other() -> None:
    whole = WIRE.final_message("It is över.", "m-1", streamed=False)
    assert r.parsed(whole.body).output_text == "It is över."
    streamed = WIRE.final_message("It is över.", "m-1", streamed=True)
    assert streamed.content_type == "text/event-stream"
    assert r.accumulated(streamed.body).output_text == "It is över."
    reader = WIRE.stream(Judge())
    assert b"response.completed" in reader.feed(streamed.body).last
    assert reader.reply().text == "It is över."


def test_recorded_requests_pass_as_they_are() -> None:
    read = background = 0
    brought: set[str] = set()
    for one in exchanges("/responses"):
        for body in (one.request, one.request_json and json.dumps(one.request_json).encode()):
            if not body:
                continue
            layout = read_layout(body, WIRE.list_key)
            if layout.value("background"):
                background += 1
                with pytest.raises(FormatError, match="background"):
                    WIRE.read_request(layout, one.path)
                continue
            found = WIRE.read_request(layout, one.path)
            assert b"".join(span.data for span in layout.assembled()) == body, one.name
            assert len([WIRE.read_message(item.section) for item in layout.items]) == len(layout.items)
            brought.update(t.name for t in found.tools)
            names = frozenset(t.name for t in found.tools)
            WIRE.drop_tools(layout, names)
            again = WIRE.read_request(read_layout(json.dumps(sent(layout)).encode(), WIRE.list_key), one.path)
            assert again.tools == ()
            read += 1
    assert (read > 190, background) == (True, 4)
    assert {"tool_search", "get_exchange_rate", "web_search", "file_search"} <= brought
