from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from proxy.wire.bedrock import BedrockConverse, BedrockInvoke
from proxy.wire.choose import wire_of
from proxy.wire.eventstream import FrameReader, encoded
from proxy.wire.format import RefusedReplyError
from proxy.wire.layout import read_layout
from tests.support.cassettes import exchanges
from tests.support.chunks import at_every_cut, cut, cut_positions
from tests.support.judging import TOKEN, Judge, notice, restoring, streamed
from trajectory.errors import ClientError, FormatError

CONVERSE, INVOKE = BedrockConverse(), BedrockInvoke()
PLACE = "/model/us.anthropic.claude-5%3A0/converse"


def event(kind: str, **payload: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encoded(headers, json.dumps({**payload, "p": "abc"}).encode())


def request(**fields: Any) -> Any:
    return read_layout(json.dumps(fields).encode(), "messages")


def said(*content: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(content)}


def spec(name: str) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}}


def payloads(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(frame.payload) for frame in FrameReader().feed(stream)]


def test_paths_are_known() -> None:
    verbs = ("converse", "converse-stream", "count-tokens", "invoke", "invoke-with-response-stream")
    assert [wire_of("POST", f"/model/m/{verb}") for verb in verbs] == ["bedrock.converse"] * 3 + ["bedrock.invoke"] * 2
    assert wire_of("POST", "/model/arn%3Aaws%3Abedrock%3Aus%3A1%3Aprompt%2FX/converse") == "bedrock.converse"
    others = ("/model/m/async-invoke", "/model/m/invoke-with-bidirectional-stream", "/guardrail/g/version/1/apply")
    assert [wire_of("POST", path) for path in others] == [None] * 3


def test_model_and_streaming_stand_in_the_path() -> None:
    asked = CONVERSE.read_request(request(messages=[], inferenceConfig={"maxTokens": 9}), PLACE + "?x=1")
    assert (asked.model, asked.streamed, asked.max_tokens) == ("us.anthropic.claude-5:0", False, 9)
    assert CONVERSE.read_request(request(messages=[]), PLACE + "-stream").streamed
    assert CONVERSE.read_request(request(input={}), "/model/m/count-tokens").counts


def test_every_place_where_a_tool_can_enter_is_found() -> None:
    config = {"tools": [spec("a"), {"cachePoint": {"type": "default"}}, {"systemTool": {"name": "nova_grounding"}},
                        {"newTool": {}}], "toolChoice": {"tool": {"name": "a"}}}  # fmt: skip
    more = {
        "tools": [{"type": "computer_2026", "name": "computer"}, {"type": "web_search"}],
        "mcp_servers": [{"url": "u"}],
    }
    added = said({"toolAddition": {"tools": [spec("late")]}}, {"toolAddition": {}}, role="system")
    fields = {"messages": [said({"text": "x"}), added], "toolConfig": config, "additionalModelRequestFields": more}
    asked = CONVERSE.read_request(request(**fields), PLACE)
    assert [tool.name for tool in asked.tools] == [
        "a", "nova_grounding", "newTool", "computer", "web_search", "mcp_servers", "late", "toolAddition",
    ]  # fmt: skip
    assert asked.forced_tool == "a"
    escaped = json.dumps(fields).replace("toolAddition", "tool\\u0041ddition").encode()
    assert CONVERSE.read_request(read_layout(escaped, "messages"), PLACE).tools == asked.tools
    counted = CONVERSE.read_request(request(input={"converse": fields}), "/model/m/count-tokens")
    assert counted.tools == asked.tools
    assert [
        t.name for t in CONVERSE.read_request(request(input={"invokeModel": {}}), "/model/m/count-tokens").tools
    ] == ["bedrock_invoke"]
    stored = CONVERSE.read_request(request(), "/model/arn%3Aaws%3Abedrock%3Aus%3A1%3Aprompt%2FX/converse")
    assert [tool.name for tool in stored.tools] == ["bedrock_prompt"]
    assert [tool.name for tool in INVOKE.read_request(request(prompt="x"), "/model/m/invoke").tools] == [
        "bedrock_invoke"
    ]


@pytest.mark.parametrize(
    "fields",
    [{"messages": "x"}, {"toolConfig": {"tools": {}}}, {"toolConfig": {"tools": ["a"]}},
     {"toolConfig": {"tools": [{"toolSpec": {}}]}}, {"additionalModelRequestFields": {"tools": "x"}}],
)  # fmt: skip
def test_a_request_that_cannot_be_judged_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        CONVERSE.read_request(request(**fields), PLACE)


def test_a_request_is_never_edited() -> None:
    layout = request(messages=[], toolConfig={"tools": [spec("a")]})
    with pytest.raises(ClientError, match="cannot be taken out"):
        CONVERSE.drop_tools(layout, frozenset({"a"}))
    with pytest.raises(FormatError, match="another model"):
        CONVERSE.set_model(layout, "m", {})


def test_messages_are_read_with_calls_and_results() -> None:
    result = {"toolUseId": "1", "status": "error", "content": [{"text": "no"}, {"json": {"a": 1}}]}
    layout = request(
        messages=[
            said({"text": "hi"}, {"toolUse": {"toolUseId": "1", "name": "a", "input": {"x": 1}}}, role="assistant"),
            said({"toolResult": result}, {"image": {}}),
        ]
    )
    first, second = (CONVERSE.read_message(item.section) for item in layout.items)
    assert (first.role, first.text, first.calls[0].arguments) == ("assistant", "hi", '{"x":1}')
    assert (second.role, second.text, second.parts[0].is_error) == ("tool", 'no\n{"a":1}', True)  # type: ignore[union-attr]
    assert CONVERSE.links(layout) == ["1"]


# replies

STREAM = [
    event("messageStart", role="assistant"),
    event("contentBlockDelta", contentBlockIndex=0, delta={"text": "Hel"}),
    event("contentBlockDelta", contentBlockIndex=0, delta={"text": "lo"}),
    event("contentBlockStop", contentBlockIndex=0),
    event("contentBlockStart", contentBlockIndex=1, start={"toolUse": {"toolUseId": "t1", "name": "a"}}),
    event("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": '{"x"'}}),
    event("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": ":1}"}}),
    event("contentBlockStop", contentBlockIndex=1),
    event("newEvent", anything=[1]),
    event("messageStop", stopReason="tool_use"),
    event("metadata", usage={"inputTokens": 5, "outputTokens": 2, "cacheReadInputTokens": 10}),
]


def test_a_stream_passes_byte_for_byte_at_every_cut_and_its_end_waits() -> None:
    stream = b"".join(STREAM)
    for parts in at_every_cut(stream):
        reader = CONVERSE.stream(Judge({"other"}))
        steps = [reader.feed(part) for part in parts] + [reader.end()]
        assert b"".join(s.send + s.last for s in steps) == stream
        assert b"".join(s.last for s in steps) == b"".join(STREAM[-2:])
        assert (reader.edited, reader.ended, reader.failed) == (False, True, False)
    reply = reader.reply()
    assert (reply.text, reply.finish) == ("Hello", "tool_call")
    assert [(call.id, call.name, call.arguments) for call in reply.calls] == [("t1", "a", '{"x":1}')]
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cache_read_tokens) == (15, 2, 10)


@given(cut_positions)
def test_a_refused_call_ends_the_stream_with_an_exception(cuts: list[int]) -> None:
    reader = CONVERSE.stream(Judge({"a"}))
    steps = [reader.feed(part) for part in cut(b"".join(STREAM), cuts)]
    sent = b"".join(step.send for step in steps[: next(i for i, s in enumerate(steps) if s.last) + 1])
    assert sent == b"".join(STREAM[:4])
    last = next(step.last for step in steps if step.last)
    (frame,) = FrameReader().feed(last)
    assert (frame.headers[":message-type"], frame.headers[":exception-type"]) == ("exception", "validationException")
    assert json.loads(frame.payload) == {"message": notice("a")}
    assert (reader.failed, reader.ended, reader.edited) == (False, False, True)  # cut off by us


def test_a_pseudonym_that_would_be_restored_ends_the_reply() -> None:
    frames = [event("contentBlockDelta", contentBlockIndex=0, delta={"text": c}) for c in f"to {TOKEN}!"]
    reader = CONVERSE.stream(restoring())
    steps = [reader.feed(frame) for frame in frames]
    (frame,) = FrameReader().feed(next(step.last for step in steps if step.last))
    assert "pseudonym" in json.loads(frame.payload)["message"]
    other = [event("contentBlockDelta", contentBlockIndex=0, delta={"text": c}) for c in "PII_EMAIL_XXXXXXXXXX P"]
    assert streamed(CONVERSE.stream(restoring()), other) == b"".join(other)


def test_an_exception_of_the_upstream_passes() -> None:
    exception = encoded({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"x"}')
    reader = CONVERSE.stream(Judge())
    assert streamed(reader, [STREAM[0] + exception]) == STREAM[0] + exception
    assert (reader.failed, reader.reply().finish) == (True, "error")


def test_a_frame_without_its_end_is_not_passed_on() -> None:
    reader = CONVERSE.stream(Judge())
    assert streamed(reader, [STREAM[0] + STREAM[1][:-1]]) == STREAM[0]
    assert reader.edited
    assert not reader.ended


def test_calls_that_name_no_tool_or_begin_twice_are_not_let_through() -> None:
    delta = event("contentBlockDelta", contentBlockIndex=3, delta={"toolUse": {"input": "{}"}})
    reader = CONVERSE.stream(Judge({""}))
    assert reader.feed(delta).send == b""
    start = event("contentBlockStart", contentBlockIndex=1, start={"toolUse": {"toolUseId": "1", "name": "a"}})
    with pytest.raises(FormatError, match="begins twice"):
        CONVERSE.stream(Judge()).feed(start + start)
    with pytest.raises(FormatError):
        CONVERSE.stream(Judge()).feed(encoded({":event-type": "contentBlockStart"}, b'{"start":{},"start":{}}'))


def whole(*content: dict[str, Any], **fields: Any) -> bytes:
    output = {"message": {"role": "assistant", "content": list(content)}}
    return json.dumps({"output": output, "stopReason": "end_turn", "usage": {"inputTokens": 1}, **fields}).encode()


def test_a_whole_reply_passes_as_it_is_or_not_at_all() -> None:
    call = {"toolUse": {"toolUseId": "1", "name": "a", "input": {"x": 1}}}
    body = whole({"text": "hi"}, call, {"reasoningContent": {}})
    read = CONVERSE.read_reply(body, Judge())
    assert read.client is body
    assert (read.reply.text, read.reply.calls[0].arguments, read.reply.finish) == ("hi", '{"x":1}', "end")
    with pytest.raises(RefusedReplyError) as refused:
        CONVERSE.read_reply(body, Judge({"a"}))
    assert refused.value.refused.code == "tool_not_allowed"
    for wire, text in ((CONVERSE, whole({"text": f"to {TOKEN}"})), (INVOKE, b'{"a":["%s"]}' % TOKEN.encode())):
        with pytest.raises(RefusedReplyError) as refused:
            wire.read_reply(text, restoring())
        assert refused.value.refused.code == "sensitive_data_refused"
    for bad in (b"[]", b"x", b'{"output":{"message":{"content":{}}}}', whole({"toolUse": "a"})):
        with pytest.raises(FormatError):
            CONVERSE.read_reply(bad, Judge())


def test_our_own_answers_are_bedrocks() -> None:
    error = json.loads(CONVERSE.error(400, "x", "no").body)
    assert error == {"__type": "ValidationException", "message": "no", "code": "x"}
    final = CONVERSE.final_message("over", "m", True)
    reader = CONVERSE.stream(Judge())
    assert streamed(reader, [final.body]) == final.body
    assert (reader.reply().text, reader.ended) == ("over", True)
    assert CONVERSE.read_reply(CONVERSE.final_message("over", "m", False).body, Judge()).reply.text == "over"
    (frame,) = FrameReader().feed(CONVERSE.error_event("upstream_reset", "gone"))
    assert frame.headers[":exception-type"] == "modelStreamErrorException"


def test_opaque_streams_pass_when_their_checksums_fit() -> None:
    frames = [encoded({":event-type": "chunk"}, b'{"bytes":"%d"}' % i) for i in range(3)]
    reader = INVOKE.stream(Judge())
    steps = [reader.feed(part) for part in at_every_cut(b"".join(frames)).__next__()] + [reader.end()]
    assert b"".join(s.send + s.last for s in steps) == b"".join(frames)
    assert steps[-1].last == frames[-1]
    with pytest.raises(FormatError):
        INVOKE.stream(Judge()).feed(frames[0][:-1] + b"x")


def test_recorded_exchanges_pass_byte_for_byte() -> None:
    seen: dict[str, int] = {}
    for verb in ("converse", "converse-stream", "invoke", "invoke-with-response-stream"):
        wire = CONVERSE if verb.startswith("converse") else INVOKE
        for one in exchanges(f"/{verb}"):
            if one.request is not None:
                layout = read_layout(one.request, "messages")
                wire.read_request(layout, one.path)
                assert b"".join(span.data for span in layout.assembled()) == one.request
            if one.reply is None or one.status != 200:
                continue
            seen[verb] = seen.get(verb, 0) + 1
            if "eventstream" not in one.content_type:
                assert wire.read_reply(one.reply, restoring()).client is one.reply
                continue
            reader = wire.stream(restoring())
            assert streamed(reader, [one.reply]) == one.reply
            assert not reader.edited
            if wire is CONVERSE:
                events = payloads(one.reply)
                text = "".join(e["delta"]["text"] for e in events if "text" in e.get("delta", {}))
                assert (reader.reply().text, reader.ended) == (text, True)
    assert all(
        seen.get(verb, 0) > 5 for verb in ("converse", "converse-stream", "invoke", "invoke-with-response-stream")
    )
