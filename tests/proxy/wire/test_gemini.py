from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.url_keys import masked_keys, without_keys
from proxy.wire.choose import is_harmless, wire_at, wire_of
from proxy.wire.gemini import GeminiGenerate, GeminiGenerateArray
from proxy.wire.layout import Layout, read_layout
from proxy.wire.strings import SealedKey, ToolKey, collected
from tests.support.genai_sdk import chunks, parsed
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring
from trajectory.conversation import Message, Opaque, Text, ToolCall, ToolResult
from trajectory.errors import FormatError

WIRE = GeminiGenerate()
PATH = "/v1beta/models/gemini-x:generateContent"
USER = {"role": "user", "parts": [{"text": "hi"}]}


def function(name: str) -> dict[str, Any]:
    return {"name": name, "parametersJsonSchema": {"type": "object"}}


def layout(**body: Any) -> Layout:
    return read_layout(json.dumps({"contents": [USER], **body}).encode(), WIRE.list_key)


def dropped(names: set[str], **body: Any) -> dict[str, Any]:
    made = layout(**body)
    WIRE.read_request(made, PATH)
    WIRE.drop_tools(made, frozenset(names))
    sent: dict[str, Any] = json.loads(b"".join(span.data for span in made.assembled()))
    del sent["contents"]
    return sent


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("/v1beta/models/gemini-x:generateContent", "gemini.generate"),
        ("/v1/models/gemini-x:streamGenerateContent", "gemini.generate"),
        ("/v1alpha/tunedModels/mine:generateContent", "gemini.generate"),
        ("/v1beta1/projects/p/locations/l/publishers/google/models/gemini-x:countTokens", "gemini.generate"),
        ("/v1/projects/p/locations/l/endpoints/77:generateContent", "gemini.generate"),
        ("/v1/interactions", "gemini.interactions"),
        ("/v1/interactions/i1", None),
        ("/v1/interactions/i1/cancel", None),
        ("/v1beta/models/gemini-x:batchGenerateContent", None),
        ("/v1beta/models/gemini-x:generateContent/x", None),
        ("/v1beta/cachedContents", None),
        ("/upload/v1beta/files", None),
    ],
)
def test_calls_are_known_by_their_path_and_nothing_else_passes(path: str, wire: str | None) -> None:
    assert wire_of("POST", path) == wire
    assert wire_of("GET", path) is None
    assert not is_harmless("GET", path)


def test_the_path_says_model_method_and_shape_of_the_stream() -> None:
    vertex = "/v1/projects/p/locations/l/publishers/google/models/gemini%20x:streamGenerateContent?alt=sse&key=K"
    asked = WIRE.read_request(layout(), vertex)
    assert (asked.model, asked.streamed, asked.counts) == ("gemini x", True, False)
    assert WIRE.read_request(layout(), "/v1/models/m:countTokens").counts
    assert WIRE.path_with_model(vertex, "models/a/b").endswith("/models/a%2Fb:streamGenerateContent?alt=sse&key=K")
    assert not isinstance(wire_at(WIRE.name, vertex), GeminiGenerateArray)
    for query in ("", "?key=K", "?alt=json"):
        assert isinstance(wire_at(WIRE.name, f"/v1/models/m:streamGenerateContent{query}"), GeminiGenerateArray)
    assert not isinstance(wire_at(WIRE.name, PATH), GeminiGenerateArray)


def test_every_door_of_a_tool_is_offered() -> None:
    asked = WIRE.read_request(
        layout(
            tools=[
                {"functionDeclarations": [function("f")], "googleSearch": {}, "url_context": {}},
                {"function_declarations": [function("g")], "mcp_servers": [{"name": "f"}]},
            ],
            tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f", "stored"]}},
            generationConfig={"max_output_tokens": 9},
        ),
        PATH,
    )
    assert [t.name for t in asked.tools] == ["f", "googleSearch", "urlContext", "g", "mcpServers", "stored"]
    assert (asked.max_tokens, asked.forced_tool) == (9, None)
    one = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
    assert WIRE.read_request(layout(toolConfig=one), PATH).forced_tool == "f"
    assert WIRE.read_request(layout(cachedContent="cachedContents/1"), PATH).forced_tool == "cachedContent"
    alone = layout(tools={"functionDeclarations": function("f")})
    assert [t.name for t in WIRE.read_request(alone, PATH).tools] == ["f"]


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [], "Tools": []},
        {"toolConfig": {}, "tool_config": {}},
        {"tools": [{"functionDeclarations": [], "function_declarations": []}]},
        {"tools": [{"functionDeclarations": [{"name": "a", "Name": "b"}]}]},
        {"toolConfig": {"functionCallingConfig": {}, "function_calling_config": {}}},
        {"contents": [{"parts": [{"functionCall": {"name": "a"}, "function_call": {"name": "b"}}]}]},
        {"contents": [{"parts": [{"functionResponse": {"id": "a", "Id": "b"}}]}]},
        {"contents": "hi"},
        {"Contents": [USER]},
        {"tools": "x"},
        {"generateContentRequest": {"contents": [USER]}},
    ],
)
def test_two_spellings_of_a_field_and_unreadable_bodies_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        WIRE.read_request(layout(**body), PATH)


def test_dropped_tools_leave_the_rest_as_it_was() -> None:
    tools = [{"functionDeclarations": [function("f"), function("g")], "googleSearch": {}}, {"urlContext": {}}]
    assert dropped({"g", "urlContext"}, tools=tools) == {
        "tools": [{"functionDeclarations": [function("f")], "googleSearch": {}}]
    }
    assert dropped({"f", "g", "googleSearch"}, tools=tools) == {"tools": [{"urlContext": {}}]}
    assert dropped({"google_search"}, tools=tools) == {"tools": tools}
    auto = {"functionCallingConfig": {"mode": "AUTO"}}
    assert dropped({"f", "g"}, tools=tools[:1], toolConfig=auto) == {"tools": [{"googleSearch": {}}]}
    more = {**auto, "retrievalConfig": {"x": 1}}
    everything = {"f", "g", "googleSearch", "urlContext"}
    assert dropped(everything, tools=tools, tool_config=more) == {"tool_config": {"retrievalConfig": {"x": 1}}}
    assert dropped({"f"}, tools={"functionDeclarations": function("f")}) == {}
    raw = b'{ "contents" : [], "tools" : [ {"functionDeclarations":[ {"name":"f"} , {"name":"g"} ]} ] }'
    made = read_layout(raw, "contents")
    WIRE.drop_tools(made, frozenset({"g"}))
    assert b"".join(s.data for s in made.assembled()) == raw.replace(b' , {"name":"g"}', b"")


@pytest.mark.parametrize("mode", ["ANY", "VALIDATED"])
def test_a_list_of_allowed_names_follows_the_tools(mode: str) -> None:
    tools = [{"functionDeclarations": [function("f"), function("g")], "googleSearch": {}}]
    kept = [{"functionDeclarations": [function("f")]}]
    calling = {"mode": mode, "allowedFunctionNames": ["f", "g"]}
    narrow = {"mode": mode, "allowedFunctionNames": ["f"]}
    names = {"g", "googleSearch"}
    assert dropped(names, tools=tools, toolConfig={"functionCallingConfig": calling}) == {
        "tools": kept, "toolConfig": {"functionCallingConfig": narrow}}  # fmt: skip
    assert dropped(names, tools=tools, toolConfig={"functionCallingConfig": {"mode": mode}}) == {
        "tools": kept, "toolConfig": {"functionCallingConfig": {"mode": mode}}}  # fmt: skip
    assert dropped(names, tools=tools, toolConfig={"functionCallingConfig": narrow}) == {
        "tools": kept, "toolConfig": {"functionCallingConfig": narrow}}  # fmt: skip
    assert dropped({"f", *names}, tools=tools, toolConfig={"functionCallingConfig": calling}) == {}
    other = {"functionDeclarations": [function("f"), function("h")]}
    assert dropped({"f"}, tools=[other], toolConfig={"functionCallingConfig": narrow}) == {
        "tools": [{"functionDeclarations": [function("h")]}],
        "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
    }
    stored = {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": ["stored", "g"]}}
    left = {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": ["stored"]}}
    assert dropped({"f", *names}, tools=tools, toolConfig=stored) == {"toolConfig": left}


def test_the_request_that_count_tokens_wraps_is_judged_too() -> None:
    inner = {"model": "m", "contents": [USER], "tools": [{"functionDeclarations": [function("f"), function("g")]}]}
    made = read_layout(json.dumps({"generateContentRequest": inner}).encode(), "contents")
    assert [t.name for t in WIRE.read_request(made, "/v1/models/m:countTokens").tools] == ["f", "g"]
    WIRE.drop_tools(made, frozenset({"g"}))
    sent = json.loads(b"".join(span.data for span in made.assembled()))
    assert sent["generateContentRequest"]["tools"] == [{"functionDeclarations": [function("f")]}]
    counted = WIRE.read_reply(b'{"totalTokens": 31}', Judge())
    assert (counted.client, counted.reply.finish) == (b'{"totalTokens": 31}', None)


def test_contents_are_read_and_linked() -> None:
    call = {"functionCall": {"id": "c1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "eA=="}
    said = [{"text": "t", "thought": True}, {"text": "ok"}, call]
    made = layout(
        contents=[
            USER,
            {"role": "model", "parts": said},
            {"role": "user", "parts": [{"function_response": {"id": "c1", "name": "f", "response": {"output": "4"}}}]},
            {"parts": [{"functionResponse": {"name": "g", "response": {"error": "no"}}}, {"inlineData": {}}]},
        ]
    )
    assert [WIRE.read_message(item.section) for item in made.items] == [
        Message("user", (Text("hi"),)),
        Message("assistant", (Opaque("thought"), Text("ok"), ToolCall("c1", "f", '{"x":1}'))),
        Message("tool", (ToolResult("c1", "4"),)),
        Message("user", (ToolResult("g", "no", is_error=True), Opaque("inlineData"))),
    ]
    assert WIRE.links(made) == ["c1", "g"]


def test_parameters_of_another_model_go_into_the_generation_config() -> None:
    made = layout(generation_config={"max_output_tokens": 1, "seed": 2})
    WIRE.set_model(made, "other", {"temperature": 0.5, "maxOutputTokens": 3})
    sent = json.loads(b"".join(span.data for span in made.assembled()))
    assert sent["generation_config"] == {"max_output_tokens": 3, "seed": 2, "temperature": 0.5}


def test_a_whole_reply_is_judged_and_restored_by_span() -> None:
    parts = [
        {"text": TOKEN, "thought": True},
        {"text": f"Hi {TOKEN}", "thoughtSignature": "eA=="},
        {"functionCall": {"name": "a", "args": {"to": TOKEN}}, "thoughtSignature": "eQ=="},
        {"functionCall": {"name": "b", "args": {"to": TOKEN}}},
    ]
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "safetyRatings": [{"x": 1}]}
    body = json.dumps({"candidates": [candidate]}, indent=2).encode()
    assert WIRE.read_reply(body, Judge()).client is body
    read = WIRE.read_reply(body, restoring({"a"}))
    got = parsed(read.client).candidates[0].content.parts
    assert [p.text for p in got] == [TOKEN, f"Hi {VALUE}", "\n\n" + notice("a"), None]
    assert got[3].function_call.args == {"to": VALUE}
    assert [p.thought_signature for p in got[1:3]] == [b"x", b"y"]
    assert read.client_reply is not None
    assert (len(read.reply.calls), len(read.client_reply.calls), read.restored) == (2, 1, 2)
    last = parsed(WIRE.read_reply(body, Judge({"a", "b"})).client)
    assert last.candidates[0].finish_reason.value == "STOP"
    assert not last.function_calls


def test_a_stream_that_was_collected_whole_is_judged_as_one() -> None:
    call = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "a"}}]}}]}
    body = json.dumps([call, {"candidates": [{"finishReason": "STOP"}]}]).encode()
    assert WIRE.read_reply(body, Judge()).client is body
    read = WIRE.read_reply(body, Judge({"a"}))
    assert json.loads(read.client)[0]["candidates"][0]["content"]["parts"] == [{"text": notice("a")}]
    assert read.refused


def test_answers_of_our_own_are_read_by_the_sdk() -> None:
    assert parsed(WIRE.final_message("It is over.", "m", streamed=False).body).text == "It is over."
    streamed = WIRE.final_message("It is over.", "m", streamed=True)
    assert [c.text for c in chunks(streamed.body)] == ["It is over."]
    listed = GeminiGenerateArray().final_message("It is over.", "m", streamed=True)
    assert json.loads(listed.body)[0]["candidates"][0]["finishReason"] == "STOP"
    error = json.loads(WIRE.error(400, "tool_not_allowed", "no").body)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["reason"] == "tool_not_allowed"


@pytest.mark.parametrize(
    ("path", "masked", "without"),
    [
        ("/v1/m:x?key=AIza&alt=sse", "/v1/m:x?key=***&alt=sse", "/v1/m:x?alt=sse"),
        ("/v1/m:x?alt=sse&%6Bey=AIza", "/v1/m:x?alt=sse&%6Bey=***", "/v1/m:x?alt=sse"),
        ("/v1/m:x?$key=a&KEY=b&access_token=c", "/v1/m:x?$key=***&KEY=***&access_token=***", "/v1/m:x"),
        ("/v1/m:x?keys=a&key", "/v1/m:x?keys=a&key", "/v1/m:x?keys=a&key"),
        ("/v1/m:x?", "/v1/m:x?", "/v1/m:x?"),
        ("/v1/m:x", "/v1/m:x", "/v1/m:x"),
    ],
)
def test_keys_in_a_url_are_not_written_down(path: str, masked: str, without: str) -> None:
    assert masked_keys(path) == masked
    assert without_keys(path) == without


def test_signed_thoughts_are_sealed_and_a_tools_keys_are_its_own() -> None:
    parts = [
        {"text": "a", "thought": True, "thoughtSignature": "s"},
        {"text": "b", "thought": True},
        {"functionResponse": {"name": "f", "response": {"name": "c"}}},
        {"type": "thought", "signature": "s", "summary": [{"text": "d"}]},
        {"type": "function_result", "call_id": "e", "result": {"name": "f"}},
    ]
    made = {text: type(key) for key, text in collected(parts) if text in "abcd"}
    assert made == {"a": SealedKey, "b": str, "c": ToolKey, "d": SealedKey}
    assert [type(key) for key, text in collected(parts[4]) if text == "f"] == [ToolKey]
