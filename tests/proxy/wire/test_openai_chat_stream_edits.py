from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.openai_chat_stream import ChatStream
from tests.support import openai_sdk
from tests.support.chat_stream import DONE, RESTORED, call, calling, chunk, read
from tests.support.chunks import cut, cut_positions
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring, streamed
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError


@pytest.mark.parametrize(
    "second",
    [
        call(0, "x"), call(0, "read_and_delete"), call(None, "x"), call(None, "x", call_id=None),
        {"index": 0, "custom": {"name": "x"}},
    ],
)  # fmt: skip
def test_a_name_that_grows_over_deltas_fails_the_stream(second: dict[str, Any]) -> None:
    reader = ChatStream(Judge())
    reader.feed(calling(call(0, "read", "", "c0")))
    with pytest.raises(FormatError, match="name"):
        reader.feed(calling(second))


def test_a_name_that_is_repeated_as_it_is_does_no_harm() -> None:
    stream = calling(call(0, "read", "{", "c0")) + calling(call(0, "read", "}", "c0")) + DONE
    out, reply, _, _ = read(stream)
    assert out == stream
    assert reply.calls == (ToolCall("c0", "read", "{}"),)


@pytest.mark.parametrize(
    "data",
    [
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c"}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":""}}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":["x"]}}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"ok"},"custom":{"name":"bad"}}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"bad","name":"ok"}}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"ok"}}],"content":"","content":"x"}}]}',
        '{"choices":[{"delta":{"tool_calls":[]}}],"choices":[{"delta":{"content":"x"}}]}',
        '{"choices":[{"delta":{"tool\\u005fcalls":[{"index":0,"function":{"name":"bad"}}]},"delta":{"content":"x"}}]}',
        '{"choices":[{"message":{"tool_calls":[{"function":{"name":"bad"}}]}}]}',
        '{"choices":[{"message":{"function_call":{"name":"bad"}}}]}',
        '{"choices":{}}',
        '{"choices":[{"delta":{"tool_calls":{"0":{}}}}]}',
        "[1]",
        "no json",
        '{"choices":[]',
    ],
)
def test_a_chunk_that_could_be_read_in_two_ways_fails_the_stream(data: str) -> None:
    with pytest.raises(FormatError):
        ChatStream(Judge()).feed(b"data: " + data.encode() + b"\n\n")


def test_what_is_no_event_stream_at_all_fails_instead_of_passing_unread() -> None:
    body = b'{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"bad","arguments":"{}"}}]}}]}'
    reader = ChatStream(Judge(("bad",)))
    assert reader.feed(body).send == b""
    with pytest.raises(FormatError):
        reader.end()


def test_an_event_without_its_blank_line_at_the_end_is_judged_too() -> None:
    reader = ChatStream(Judge(("bad",)))
    held = reader.feed(calling(call(0, "bad", "{}", "c0")).rstrip(b"\n"))
    assert held.send == held.last == b""
    assert notice("bad").replace('"', '\\"').encode() in reader.end().last


def test_the_older_function_call_is_judged_and_becomes_text() -> None:
    stream = (
        chunk({"role": "assistant", "content": None, "function_call": {"name": "bad", "arguments": ""}})
        + chunk({"function_call": {"arguments": "{}"}})
        + chunk({}, "function_call")
        + DONE
    )
    assert read(stream)[0] == stream
    out, reply, shown, _ = read(stream, Judge(("bad",)))
    completion = openai_sdk.accumulated(out).choices[0]
    assert completion.message.content == notice("bad") == shown.text
    assert completion.message.function_call is None
    assert completion.finish_reason == "stop"
    assert reply.calls == (ToolCall("", "bad", "{}"),) and shown.calls == ()


def test_custom_tools_are_judged_by_their_name() -> None:
    def custom(index: int, name: str | None, text: str) -> dict[str, Any]:
        return {
            "index": index,
            "id": f"c{index}",
            "type": "custom",
            "custom": {"input": text} | ({"name": name} if name else {}),
        }

    stream = calling(custom(0, "bad", "x")) + calling(custom(1, "good", f"to {TOKEN[:5]}")) + calling(
        {"index": 1, "custom": {"input": TOKEN[5:] + " P"}}) + chunk({}, "tool_calls") + DONE  # fmt: skip
    out, reply, shown, _ = read(stream, restoring(("bad",)))
    assert [(c.name, c.arguments) for c in shown.calls] == [("good", f"to {VALUE} P")]
    inputs = [c["custom"]["input"] for d in _deltas(out) for c in d.get("tool_calls") or ()]
    assert "".join(inputs) == f"to {VALUE} P"
    assert [c.name for c in reply.calls] == ["bad", "good"]


def test_choices_of_one_reply_are_judged_and_mended_each_for_itself() -> None:
    stream = (
        chunk({"tool_calls": [call(0, "bad", "{}", "c0")]}, index=0)
        + chunk({"tool_calls": [call(0, "good", "{}", "c1")]}, index=1)
        + chunk({"content": "text"}, index=2)
        + chunk({}, "tool_calls", index=0)
        + chunk({}, "tool_calls", index=1)
        + chunk({}, "stop", index=2)
        + DONE
    )
    out, *_ = read(stream, Judge(("bad",)))
    choices = openai_sdk.accumulated(out).choices
    assert [c.finish_reason for c in choices] == ["stop", "tool_calls", "stop"]
    assert [c.message.content for c in choices] == [notice("bad"), None, "text"]


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_a_finish_reason_that_says_nothing_of_tools_stays(reason: str) -> None:
    out, *_ = read(calling(call(0, "bad", "{}", "c0")) + chunk({}, reason) + DONE, Judge(("bad",)))
    assert _finishes(out) == [reason]


def test_values_are_restored_at_every_cut_in_text_and_in_arguments() -> None:
    expected, reply, shown, reader = read(RESTORED, restoring())
    assert shown.text == f"Write to {VALUE}, {VALUE}P"
    assert [json.loads(c.arguments) for c in shown.calls] == [{"to": VALUE, "cc": [VALUE]}]
    assert TOKEN in reply.text and reader.restored == 4
    message = openai_sdk.accumulated(expected).choices[0].message
    assert message.content == shown.text
    assert json.loads(message.tool_calls[0].function.arguments) == {"to": VALUE, "cc": [VALUE]}


@pytest.mark.parametrize("at", range(1, len(TOKEN)))
def test_a_pseudonym_in_two_pieces_is_restored_wherever_it_is_cut(at: int) -> None:
    arguments = json.dumps({"to": TOKEN})
    start = arguments.index(TOKEN)
    stream = (
        chunk({"content": f"a {TOKEN[:at]}"})
        + chunk({"content": f"{TOKEN[at:]} b"})
        + calling(call(0, "a", arguments[: start + at], "c0"))
        + calling(call(0, None, arguments[start + at :]))
        + chunk({}, "tool_calls")
        + DONE
    )
    expected, _, shown, reader = read(stream, restoring())
    assert shown.text == f"a {VALUE} b" and json.loads(shown.calls[0].arguments) == {"to": VALUE}
    assert TOKEN.encode() not in expected and reader.restored == 2
    assert streamed(ChatStream(restoring()), [stream[i : i + 1] for i in range(len(stream))]) == expected


@given(
    st.lists(st.sampled_from([*"PI_ ", "PII", "PII_EMAIL_", TOKEN, TOKEN[:13], TOKEN[13:], "x"]), max_size=14),
    cut_positions,
)
def test_no_text_is_lost_or_doubled_however_it_is_cut(pieces: list[str], cuts: list[int]) -> None:
    stream = b"".join(chunk({"content": piece}) for piece in pieces) + chunk({}, "stop") + DONE
    reader = ChatStream(restoring())
    out = streamed(reader, cut(stream, cuts))
    text = "".join(d.get("content") or "" for d in _deltas(out))
    assert text == "".join(pieces).replace(TOKEN, VALUE) == reader.client_reply().text
    assert reader.reply().text == "".join(pieces)


def test_held_text_comes_before_the_call_and_before_the_end() -> None:
    stream = chunk({"content": "see P"}) + calling(call(0, "a", '"P', "c0")) + calling(call(1, "b", "{}", "c1")) + DONE
    out, _, shown, _ = read(stream, restoring())
    deltas = _deltas(out)
    assert [d.get("content") for d in deltas[:2]] == ["see ", "P"]
    assert [(c["index"], c["function"].get("arguments")) for d in deltas[2:] for c in d["tool_calls"]] == [
        (0, '"'), (0, "P"), (1, "{}"),
    ]  # fmt: skip
    assert shown.text == "see P" and [c.arguments for c in shown.calls] == ['"P', "{}"]


def test_a_value_and_a_refused_call_in_one_delta_are_both_edited() -> None:
    delta = {
        "content": f"to {TOKEN}",
        "tool_calls": [call(0, "bad", "{}", "c0"), call(1, "ok", json.dumps([TOKEN]), "c1")],
    }
    out, _, shown, _ = read(chunk(delta) + chunk({}, "tool_calls") + DONE, restoring(("bad",)))
    message = openai_sdk.accumulated(out).choices[0].message
    assert message.content == f"to {VALUE}\n\n{notice('bad')}" == shown.text
    assert [json.loads(c.function.arguments) for c in message.tool_calls] == [[VALUE]]


def test_the_end_of_arguments_in_the_chunk_that_finishes_is_not_put_before_their_beginning() -> None:
    stream = chunk({"tool_calls": [call(0, "a", '"xP', "c0")]}, "tool_calls") + DONE
    out, *_ = read(stream, restoring())
    assert [c["function"]["arguments"] for d in _deltas(out) for c in d["tool_calls"]] == ['"xP']


def test_an_edit_leaves_the_other_bytes_of_its_chunk_alone() -> None:
    data = (
        '{ "id" : "\\u00e9", "choices" : [ {"index":0, "delta" : {"content":"caf\\u00e9", '
        '"tool_calls":[%s]},"finish_reason":null } ], "x":1.50 }'
    )
    frame = b"data: " + (data % json.dumps(call(0, "bad", "{}", "c0"))).encode() + b"\r\n\r\n"
    out, *_ = read(frame + DONE, Judge(("bad",)))
    expected = data.replace('caf\\u00e9"', "caf\\u00e9\\n\\n" + notice("bad").replace('"', '\\"') + '"').replace(
        "[%s]", "null"
    )
    assert out == b"data: " + expected.encode() + b"\r\n\r\n" + DONE


def test_an_error_in_the_stream_passes_and_is_no_success() -> None:
    error = b'data: {"error":{"message":"overloaded","code":500}}\n\n'
    out, reply, _, reader = read(chunk({"content": "hal"}) + error)
    assert out.endswith(error)
    assert reader.failed and reply.finish == "error" and not reader.ended


def test_the_terminator_and_all_after_it_wait() -> None:
    reader = ChatStream(Judge())
    step = reader.feed(chunk({"content": "hi"}) + DONE + b": bye\n\n")
    assert step.send == chunk({"content": "hi"}) and step.last == DONE + b": bye\n\n"
    assert reader.ended


def _deltas(stream: bytes) -> list[dict[str, Any]]:
    return [c["delta"] for one in _chunks(stream) for c in one["choices"]]


def _finishes(stream: bytes) -> list[str]:
    return [c["finish_reason"] for one in _chunks(stream) for c in one["choices"] if c["finish_reason"]]


def _chunks(stream: bytes) -> list[dict[str, Any]]:
    frames = [frame[6:] for frame in stream.split(b"\n\n") if frame.startswith(b"data: {")]
    return [json.loads(frame) for frame in frames]
