from __future__ import annotations

import json

import pytest

from proxy.wire.openai_chat_stream import ChatStream
from tests.support import openai_sdk
from tests.support.chat_stream import AT_ONCE, DONE, PARALLEL, WITHOUT_INDEX, call, calling, chunk, read
from tests.support.chunks import at_every_cut
from tests.support.judging import Judge, notice, streamed
from trajectory.conversation import Reply, Usage


@pytest.mark.parametrize("stream", [PARALLEL, AT_ONCE, WITHOUT_INDEX], ids=["parallel", "at once", "without index"])
@pytest.mark.parametrize("refused", [(), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("a", "b", "c")], ids="".join)
def test_every_cut_of_a_stream_gives_the_same_reply_and_the_same_output(
    stream: bytes, refused: tuple[str, ...]
) -> None:
    expected = read(stream, Judge(refused))
    assert len(expected[3].refused) == len(refused)
    for parts in at_every_cut(stream):
        reader = ChatStream(Judge(refused))
        assert streamed(reader, parts) == expected[0]
        assert (reader.reply(), reader.client_reply()) == expected[1:3]


@pytest.mark.parametrize("stream", [PARALLEL, AT_ONCE, WITHOUT_INDEX], ids=["parallel", "at once", "without index"])
def test_a_stream_that_no_rule_concerns_passes_byte_for_byte(stream: bytes) -> None:
    out, reply, shown, reader = read(stream)
    assert out == stream
    assert not reader.edited
    assert [c.name for c in reply.calls] == ["a", "b", "c"]
    assert shown.calls == reply.calls


@pytest.mark.parametrize("stream", [PARALLEL, AT_ONCE], ids=["parallel", "at once"])
@pytest.mark.parametrize("refused", ["a", "b", "c", "ab", "bc", "ac", "abc"])
def test_the_official_accumulator_reads_what_is_left_of_parallel_calls(stream: bytes, refused: str) -> None:
    out, reply, shown, _ = read(stream, Judge(refused))
    completion = openai_sdk.accumulated(out)
    message = completion.choices[0].message
    left = [name for name in "abc" if name not in refused]
    assert [c.function.name for c in message.tool_calls or ()] == left
    assert [json.loads(c.function.arguments) for c in message.tool_calls or ()] == [
        {"a": {"x": 1}, "b": {"y": 2}, "c": {"z": 3}}[name] for name in left
    ]
    assert completion.choices[0].finish_reason == ("tool_calls" if left else "stop")
    said = "Let me see." if stream is AT_ONCE else ""
    expected = "\n\n".join([said] * bool(said) + [notice(name) for name in refused])
    assert message.content == expected == shown.text
    assert [c.name for c in shown.calls] == left
    assert [c.name for c in reply.calls] == ["a", "b", "c"]
    assert [c.index for one in openai_sdk.chunks(out) for d in one.choices for c in d.delta.tool_calls or ()] == sorted(
        c.index for one in openai_sdk.chunks(out) for d in one.choices for c in d.delta.tool_calls or ()
    )


def test_each_call_is_judged_once_and_before_any_of_its_bytes_go_on() -> None:
    judge = Judge(("b",))
    out, *_ = read(PARALLEL, judge)
    assert judge.asked == [("a", "c0"), ("b", "c1"), ("c", "c2")]
    assert b'"y' not in out and b'c1"' not in out.replace(b'"id": "c1"', b"", 8)


def test_text_after_a_notice_stands_apart_from_it() -> None:
    stream = chunk({"content": "One."}) + calling(call(0, "bad", "{}", "c0")) + chunk({"content": "Two."}) + DONE
    out, _, shown, _ = read(stream, Judge(("bad",)))
    assert shown.text == f"One.\n\n{notice('bad')}\n\nTwo."
    assert "".join(c.choices[0].delta.content or "" for c in openai_sdk.chunks(out)) == shown.text


def test_a_frame_with_another_choice_in_it_does_not_vanish_with_a_refused_call() -> None:
    both = {
        "id": "c1",
        "choices": [
            {"index": 0, "delta": {"tool_calls": [call(0, None, "more")]}, "finish_reason": None},
            {"index": 1, "delta": {"content": "kept"}, "finish_reason": None},
        ],
    }
    frame = b"data: " + json.dumps(both).encode() + b"\n\n"
    out, *_ = read(calling(call(0, "bad", "", "c0")) + frame + DONE, Judge(("bad",)))
    assert b"kept" in out and b"more" not in out


def test_usage_in_the_frame_of_a_refused_call_is_kept() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
    stream = calling(call(0, "bad", "", "c0")) + calling(call(0, None, "x"), usage=usage) + DONE
    out, reply, _, _ = read(stream, Judge(("bad",)))
    assert reply.usage == Usage(20, 9) and b'"prompt_tokens"' in out


def test_the_usage_chunk_is_read_and_passes() -> None:
    usage = {
        "prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 5},
    }  # fmt: skip
    end = b"data: " + json.dumps({"id": "c1", "choices": [], "usage": usage}).encode() + b"\n\n"
    stream = chunk({"content": "hi"}) + chunk({}, "stop") + end + DONE
    out, reply, _, _ = read(stream)
    assert out == stream
    assert reply == Reply("hi", (), "end", Usage(20, 9, 4, 5), "m-1")
