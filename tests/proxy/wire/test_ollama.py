from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.choose import is_harmless, wire_of
from proxy.wire.layout import read_layout
from proxy.wire.ollama import OllamaChat, OllamaGenerate
from tests.support.cassettes import exchanges
from tests.support.chunks import at_every_cut, cut, cut_positions
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring, streamed
from trajectory.errors import FormatError

CHAT = OllamaChat()


def line(content: str | None = None, *, done: bool = False, **message: Any) -> bytes:
    said = {"role": "assistant", **({} if content is None else {"content": content}), **message}
    end = {"done_reason": "stop", "prompt_eval_count": 7, "eval_count": 3, "total_duration": 5} if done else {}
    return json.dumps({"model": "qwen", "created_at": "t", "message": said, "done": done, **end}).encode() + b"\n"


def call(name: str, index: int = 0, **arguments: Any) -> dict[str, Any]:
    return {"function": {"index": index, "name": name, "arguments": arguments}}


def request(**fields: Any) -> Any:
    return read_layout(json.dumps({"model": "qwen", **fields}).encode(), "messages")


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": {"type": "object"}}}


def objects(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(one) for one in stream.splitlines() if one]


def test_paths_are_known() -> None:
    assert wire_of("POST", "/api/chat") == "ollama.chat"
    assert wire_of("POST", "/api/generate") == "ollama.generate"
    assert [wire_of("POST", path) for path in ("/api/embed", "/api/pull", "/api/create", "/api/chat/x")] == [None] * 4
    assert is_harmless("GET", "/api/tags")
    assert not is_harmless("DELETE", "/api/delete")


# requests


def test_a_request_is_read_and_streams_unless_it_says_no() -> None:
    asked = CHAT.read_request(
        request(messages=[], tools=[tool("a"), tool("b")], options={"num_predict": 9}), "/api/chat"
    )
    assert (asked.model, asked.streamed, [t.name for t in asked.tools], asked.max_tokens) == (
        "qwen",
        True,
        ["a", "b"],
        9,
    )
    assert not CHAT.read_request(request(messages=[], stream=False), "").streamed
    assert CHAT.read_request(request(messages=[], stream=None), "").streamed
    assert CHAT.read_request(request(prompt="x"), "").model == "qwen"


@pytest.mark.parametrize(
    "fields",
    [
        {"Tools": [tool("a")]},
        {"tool\u017f": [tool("a")]},
        {"tools": [{"type": "function", "Function": {"name": "a"}, "function": {"name": "b"}}]},
        {"tools": [{"type": "function", "function": {"name": "b", "NAME": "a"}}]},
        {"tools": [{"type": "function"}]},
        {"tools": {"a": 1}},
        {"messages": [{"role": "user", "Content": "x"}]},
        {"messages": "x"},
        {"messages": ["x"]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "Name": "b"}}]}]},
        {"model": 3},
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        CHAT.read_request(request(**fields), "")


def test_refused_tools_are_taken_out_of_the_request() -> None:
    layout = request(messages=[], tools=[tool("a"), tool("b")], stream=True)
    CHAT.drop_tools(layout, frozenset({"a"}))
    sent = json.loads(b"".join(span.data for span in layout.assembled()))
    assert sent == {"model": "qwen", "messages": [], "tools": [tool("b")], "stream": True}
    layout = request(messages=[], tools=[tool("a")])
    CHAT.drop_tools(layout, frozenset({"a"}))
    assert json.loads(b"".join(span.data for span in layout.assembled())) == {"model": "qwen", "messages": []}


def test_messages_are_read_with_calls_and_results() -> None:
    said = [
        {"role": "assistant", "content": "ok", "thinking": "t", "tool_calls": [call("a", x=1)]},
        {"role": "tool", "tool_name": "a", "content": "result"},
        {"role": "user", "content": "see", "images": ["aGk="]},
    ]
    layout = request(messages=said)
    first, second, third = (CHAT.read_message(item.section) for item in layout.items)
    assert [(c.name, c.arguments) for c in first.calls] == [("a", '{"x":1}')]
    assert (second.role, second.text) == ("tool", "result")
    assert (third.text, len(third.parts)) == ("see", 2)


def test_a_candidate_takes_the_place_of_the_model() -> None:
    layout = request(messages=[], options={"seed": 1})
    CHAT.set_model(layout, "other", {"temperature": 0})
    assert json.loads(b"".join(span.data for span in layout.assembled())) == {
        "model": "other", "messages": [], "options": {"seed": 1, "temperature": 0},
    }  # fmt: skip


# replies

STREAM = (
    line("Hel") + line("lo", thinking="hm") + line("", tool_calls=[call("a", x=1), call("b", 1, y="é")])
    + line("", tool_calls=[call("c", 2)]) + line("", done=True)
)  # fmt: skip


def test_what_no_rule_concerns_is_passed_byte_for_byte_at_every_cut() -> None:
    for parts in at_every_cut(STREAM):
        reader = CHAT.stream(Judge())
        assert streamed(reader, parts) == STREAM
        assert not reader.edited
    reply = reader.reply()
    assert (reply.text, [c.name for c in reply.calls], reply.finish) == ("Hello", ["a", "b", "c"], "tool_call")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (7, 3)  # type: ignore[union-attr]


def test_the_line_that_says_done_is_the_last_part() -> None:
    reader = CHAT.stream(Judge())
    step = reader.feed(STREAM + b"\n")
    assert step.last == STREAM.splitlines(keepends=True)[-1] + b"\n"
    assert reader.ended


@pytest.mark.parametrize("refused", [("a",), ("b",), ("c",), ("a", "b"), ("a", "b", "c")])
@given(cuts=cut_positions)
def test_refused_calls_become_text_and_indices_have_no_gap(refused: tuple[str, ...], cuts: list[int]) -> None:
    reader = CHAT.stream(Judge(refused))
    lines = objects(streamed(reader, cut(STREAM, cuts)))
    calls = [c["function"] for one in lines for c in one["message"].get("tool_calls", ())]
    assert [c["name"] for c in calls] == [name for name in "abc" if name not in refused]
    assert [c["index"] for c in calls] == list(range(len(calls)))
    text = "".join(one["message"].get("content", "") for one in lines)
    assert text == "\n\n".join(["Hello", *map(notice, refused)])
    assert lines[-1]["done_reason"] == "stop"
    assert [c.name for c in reader.reply().calls] == ["a", "b", "c"]
    shown = reader.client_reply()
    assert (shown.text, [c.name for c in shown.calls]) == (text, [c["name"] for c in calls])


@given(cuts=cut_positions, at=st.lists(st.integers(0, len(TOKEN) + 12), max_size=4))
def test_pseudonyms_are_restored_in_text_and_arguments_however_they_are_cut(cuts: list[int], at: list[int]) -> None:
    text = f"write {TOKEN} PII_"
    edges = [0, *sorted(min(a, len(text)) for a in at), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    calls = [call("a", to=TOKEN, inner={"x": [f"<{TOKEN}>"]})]
    stream = b"".join(map(line, pieces)) + line(thinking=TOKEN, tool_calls=calls) + line("", done=True)
    reader = CHAT.stream(restoring())
    lines = objects(streamed(reader, cut(stream, cuts)))
    assert "".join(one["message"].get("content", "") for one in lines) == f"write {VALUE} PII_"
    (made,) = (c for one in lines for c in one["message"].get("tool_calls", ()))
    assert made["function"]["arguments"] == {"to": VALUE, "inner": {"x": [f"<{VALUE}>"]}}
    assert any(one["message"].get("thinking") == TOKEN for one in lines)
    assert reader.restored == 3
    assert lines[-1]["done"]
    assert lines[-1]["message"]["content"] == "PII_"
    assert TOKEN in reader.reply().text


def test_what_is_held_when_the_stream_breaks_off_still_comes() -> None:
    reader = CHAT.stream(restoring())
    assert "".join(one["message"]["content"] for one in objects(streamed(reader, [line("a PII_EM")]))) == "a PII_EM"
    assert not reader.ended
    reader = CHAT.stream(restoring())
    lines = objects(streamed(reader, [line("a PII_EM") + b'{"error":"out of memory"}\n']))
    assert ["error" in one for one in lines] == [False, False, True]
    assert (reader.failed, reader.reply().finish) == (True, "error")


def test_a_generated_text_is_restored_like_a_chat() -> None:
    stream = b"".join(
        json.dumps({"model": "m", "response": piece, "done": piece == ""}).encode() + b"\n"
        for piece in (TOKEN[:9], TOKEN[9:], "")
    )
    reader = OllamaGenerate().stream(restoring())
    assert "".join(one["response"] for one in objects(streamed(reader, [stream]))) == VALUE
    assert reader.reply().text == TOKEN


def test_a_whole_reply_is_judged_like_a_stream() -> None:
    body = line(f"to {TOKEN} PII_", tool_calls=[call("a"), call("b", 1, to=TOKEN)], done=True)
    read = CHAT.read_reply(body, Judge())
    assert read.client is body
    read = CHAT.read_reply(body, restoring({"a"}))
    message = json.loads(read.client)["message"]
    assert message["content"] == f"to {VALUE} PII_\n\n{notice('a')}"
    assert message["tool_calls"] == [call("b", 0, to=VALUE)]
    assert [c.name for c in read.reply.calls] == ["a", "b"]
    assert (read.restored, len(read.refused)) == (2, 1)
    only = json.loads(CHAT.read_reply(line(tool_calls=[call("a")], done=True), Judge({"a"})).client)["message"]
    assert (only["content"], only["tool_calls"]) == (notice("a"), [])


@pytest.mark.parametrize(
    "bad",
    [
        b"[]",
        b"nothing",
        b'{"message":"x"}',
        b'{"message":{"content":3}}',
        b'{"message":{"tool_calls":{"function":{"name":"a"}}}}',
        b'{"message":{"tool_calls":["a"]}}',
        b'{"message":{"Tool_Calls":[]}}',
        b'{"message":{},"Message":{}}',
        b'{"message":{"tool_calls":[{"function":{"name":"a","name":"b"}}]}}',
        b'{"message":{"content":"a"}} {}',
    ],
)
def test_what_cannot_be_judged_lets_nothing_out(bad: bytes) -> None:
    with pytest.raises(FormatError):
        CHAT.read_reply(bad, Judge())
    with pytest.raises(FormatError):
        CHAT.stream(Judge()).feed(line("fine") + bad + b"\n")


def test_our_own_answers_are_ollamas() -> None:
    assert json.loads(CHAT.error(400, "x", 'no "y"').body) == {"error": 'no "y"', "code": "x"}
    assert objects(CHAT.error_event("x", "no"))[0]["error"] == "no"
    for is_streamed in (True, False):
        final = CHAT.final_message("over", "m", is_streamed)
        assert final.content_type == ("application/x-ndjson" if is_streamed else "application/json")
        said = json.loads(final.body)
        assert (said["message"]["content"], said["done"]) == ("over", True)
    assert json.loads(OllamaGenerate().final_message("over", "m", False).body)["response"] == "over"


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_recorded_exchanges_pass_byte_for_byte(path: str) -> None:
    wire = CHAT if path.endswith("chat") else OllamaGenerate()
    seen = 0
    for one in exchanges(path):
        if one.request is None or one.reply is None or one.status != 200:
            continue
        seen += 1
        layout = read_layout(one.request, "messages")
        asked = wire.read_request(layout, path)
        assert b"".join(span.data for span in layout.assembled()) == one.request
        lines = objects(one.reply)
        if asked.streamed:
            reader = wire.stream(restoring())
            assert streamed(reader, [one.reply]) == one.reply
            reply, edited = reader.reply(), reader.edited
        else:
            read = wire.read_reply(one.reply, restoring())
            reply, edited = read.reply, read.client is not one.reply
        assert not edited
        assert reply.text == "".join(o.get("response") or o.get("message", {}).get("content", "") for o in lines)
        assert len(reply.calls) == sum(len(o.get("message", {}).get("tool_calls") or ()) for o in lines)
        assert reply.usage is not None
        assert reply.usage.output_tokens == lines[-1]["eval_count"]
    assert seen > 3
