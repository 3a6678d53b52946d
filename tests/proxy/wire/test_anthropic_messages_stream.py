from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.anthropic_messages_stream import MessagesStream
from tests.support import anthropic_sdk
from tests.support.anthropic_events import begun, block, call, ended, ev, text, thinking
from tests.support.chunks import at_every_cut, cut, cut_positions
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring, streamed
from trajectory.conversation import Reply, ToolCall, Usage
from trajectory.errors import FormatError


def read(stream: bytes, judge: Judge | None = None) -> tuple[bytes, Reply, Reply, MessagesStream]:
    reader = MessagesStream(judge or Judge())
    out = streamed(reader, [stream])
    return out, reader.reply(), reader.client_reply(), reader


PARALLEL = (
    begun()
    + thinking(0, "I need", " three.")
    + ev("ping")
    + text(1, "Let me", " see.")
    + call(2, "a", '{"x":', "1}")
    + call(3, "b", '{"y":2}')
    + call(4, "c", "", '{"z"', ":3}")
    + ended()
)
ALONE = begun() + call(0, "a", '{"x":1}') + ended()
WRITTEN = f"to {TOKEN}, {TOKEN}P"
GIVEN = json.dumps({"to": TOKEN, "cc": [TOKEN]})


def restored(*cuts: int) -> bytes:
    """A stream that says WRITTEN and GIVEN in pieces that end at `cuts`."""
    return (
        begun()
        + thinking(0, f"about {TOKEN}")
        + text(1, *(WRITTEN[i:j] for i, j in pairwise((0, *cuts, len(WRITTEN)))))
        + call(2, "a", *(GIVEN[i:j] for i, j in pairwise((0, *cuts, len(GIVEN)))))
        + ended()
    )


@pytest.mark.parametrize("refused", [(), ("a", "c"), ("a", "b", "c")], ids="".join)
def test_every_cut_of_a_stream_gives_the_same_reply_and_the_same_output(refused: tuple[str, ...]) -> None:
    expected = read(PARALLEL, Judge(refused))
    assert len(expected[3].refused) == len(refused)
    for parts in at_every_cut(PARALLEL):
        reader = MessagesStream(Judge(refused))
        assert streamed(reader, parts) == expected[0]
        assert (reader.reply(), reader.client_reply()) == expected[1:3]


def test_a_stream_that_no_rule_concerns_passes_byte_for_byte() -> None:
    out, reply, shown, reader = read(PARALLEL)
    assert out == PARALLEL
    assert not reader.edited
    assert reply == shown
    assert reply == Reply(
        "Let me see.",
        (ToolCall("toolu_2", "a", '{"x":1}'), ToolCall("toolu_3", "b", '{"y":2}'), ToolCall("toolu_4", "c", '{"z":3}')),
        "tool_call",
        Usage(27, 41, 5, cache_write_tokens=2),
        "m-1",
        "msg_1",
    )


@pytest.mark.parametrize("refused", ["a", "b", "c", "ab", "bc", "ac", "abc"])
@pytest.mark.parametrize("beta", [True, False])
def test_the_official_accumulator_reads_what_is_left_of_parallel_calls(refused: str, beta: bool) -> None:
    out, reply, shown, _ = read(PARALLEL, Judge(refused))
    message = anthropic_sdk.accumulated(out, beta=beta)
    left = [name for name in "abc" if name not in refused]
    inputs = {"a": {"x": 1}, "b": {"y": 2}, "c": {"z": 3}}
    assert [b.type for b in message.content[:2]] == ["thinking", "text"]
    assert message.content[0].signature == "EqQB"
    for name, one in zip("abc", message.content[2:], strict=True):
        if name in refused:
            assert (one.type, one.text) == ("text", notice(name))
        else:
            assert (one.type, one.name, one.input) == ("tool_use", name, inputs[name])
    assert message.stop_reason == ("tool_use" if left else "end_turn")
    assert shown.finish == ("tool_call" if left else "end")
    assert [c.name for c in shown.calls] == left
    assert [c.name for c in reply.calls] == ["a", "b", "c"]
    assert reply.finish == "tool_call"
    assert all(notice(name) in shown.text for name in refused)
    assert message.usage.output_tokens == 41


def test_the_notice_of_a_refused_call_streams_as_text() -> None:
    out, _, _, _ = read(ALONE, Judge("a"))
    with anthropic_sdk.client(out, "text/event-stream").messages.stream(**anthropic_sdk.ASKED) as events:
        assert "".join(events.text_stream) == notice("a")


def test_no_byte_of_a_refused_call_goes_out() -> None:
    stream = begun() + call(0, "secret_tool", '{"q":"innermost"}') + ended()
    out, reply, _, _ = read(stream, Judge(["secret_tool"]))
    assert b"innermost" not in out
    assert b"tool_use" not in out
    assert reply.calls[0].arguments == '{"q":"innermost"}'


@pytest.mark.parametrize("cuts", [(), *((i,) for i in range(1, len(WRITTEN))), range(1, len(WRITTEN))], ids=str)
def test_values_come_back_in_text_and_arguments_wherever_they_are_cut_and_never_in_thinking(cuts: Any) -> None:
    out, reply, shown, reader = read(restored(*cuts), restoring())
    message = anthropic_sdk.accumulated(out)
    assert message.content[0].thinking == f"about {TOKEN}"
    assert message.content[1].text == f"to {VALUE}, {VALUE}P"
    assert message.content[2].input == {"to": VALUE, "cc": [VALUE]}
    assert reader.restored == 4
    assert reply.text == WRITTEN
    assert reply.calls[0].arguments == GIVEN
    assert shown.text == message.content[1].text
    assert json.loads(shown.calls[0].arguments) == message.content[2].input


def test_values_come_back_at_every_cut_of_the_bytes() -> None:
    stream = restored(8)
    expected = read(stream, restoring())
    for parts in at_every_cut(stream):
        reader = MessagesStream(restoring())
        assert streamed(reader, parts) == expected[0]
        assert (reader.reply(), reader.client_reply()) == expected[1:3]


def test_what_a_block_begins_with_and_what_it_quotes_is_restored_too() -> None:
    citation = {"type": "char_location", "cited_text": f"by {TOKEN}", "document_title": TOKEN, "encrypted_index": TOKEN}
    stream = (
        begun()
        + block(0, {"type": "text", "text": TOKEN[:8]}, {"type": "text_delta", "text": TOKEN[8:]},
                {"type": "citations_delta", "citation": citation})
        + call(1, "a", input={"to": TOKEN})
        + ended()
    )  # fmt: skip
    out, _, shown, _ = read(stream, restoring())
    message = anthropic_sdk.accumulated(out)
    assert message.content[0].text == VALUE == shown.text
    cited = message.content[0].citations[0]
    assert (cited.cited_text, cited.document_title) == (f"by {VALUE}", VALUE)
    assert cited.encrypted_index == TOKEN
    assert message.content[1].input == {"to": VALUE} == json.loads(shown.calls[0].arguments)


def test_a_member_of_a_toolset_is_judged_under_its_familys_name() -> None:
    judge = Judge()
    read(begun() + call(0, "left_click", "{}", toolset_name="computer") + ended(), judge)
    assert judge.asked == [("computer.left_click", "toolu_0")]


def test_a_kind_of_tool_use_that_is_not_known_is_judged_like_any_other() -> None:
    started = {"type": "future_tool_use", "id": "f", "name": "a", "input": {}}
    out, _, _, _ = read(begun() + block(0, started) + ended(), Judge("a"))
    assert b"future_tool_use" not in out


def test_what_the_provider_ran_passes_untouched_and_is_no_call() -> None:
    stream = (
        begun()
        + block(0, {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                {"type": "input_json_delta", "partial_json": '{"query":"' + TOKEN + '"}'})
        + block(1, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []})
        + block(2, {"type": "mcp_tool_use", "id": "m", "name": "a", "server_name": "s", "input": {}})
        + ended("end_turn")
    )  # fmt: skip
    judge = restoring(["web_search", "a"])
    out, reply, _, _ = read(stream, judge)
    assert out == stream
    assert (judge.asked, reply.calls, reply.finish) == ([], (), "end")


@pytest.mark.parametrize(
    "part",
    [
        ev("future_event", message="not an object", index="x", delta=[1]),
        ev("ping"),
        b": a comment\n\n",
        b"event: vertex_event\ndata: {\"type\":\"ping\"}\n\n",
        ev("content_block_delta", index=0, delta={"type": "future_delta", "text": {"not": "text"}}),
        ev("content_block_start", index=1, content_block={"type": "compaction", "content": "x", "to": "y"}),
        ev("content_block_delta", index=9, delta={"type": "text_delta", "text": "of no block"}),
    ],
)  # fmt: skip
def test_what_is_not_known_passes_untouched(part: bytes) -> None:
    stream = begun() + ev("content_block_start", index=0, content_block={"type": "text", "text": ""}) + part
    assert read(stream, restoring("a"))[0] == stream


def test_the_end_waits_for_the_record_and_nothing_else_does() -> None:
    reader = MessagesStream(Judge())
    frames = [f + b"\n\n" for f in PARALLEL.split(b"\n\n") if f]
    steps = [reader.feed(frame) for frame in frames]
    assert all(step.send == frame and not step.last for step, frame in zip(steps[:-1], frames, strict=False))
    assert (steps[-1].send, steps[-1].last) == (b"", frames[-1])
    assert reader.ended


def test_a_held_end_of_text_comes_before_the_block_stops() -> None:
    out, _, shown, _ = read(begun() + text(0, "see PII_EMAIL") + ended("end_turn"), restoring())
    assert anthropic_sdk.accumulated(out).content[0].text == "see PII_EMAIL" == shown.text


def test_a_block_that_begins_again_loses_nothing_that_was_held() -> None:
    start = ev("content_block_start", index=0, content_block={"type": "text", "text": ""})
    held = ev("content_block_delta", index=0, delta={"type": "text_delta", "text": "PII_EMAIL"})
    out, reply, shown, _ = read(begun() + start + held + start + ended("end_turn"), restoring())
    assert (reply.text, shown.text, out.count(b"PII_EMAIL")) == ("PII_EMAIL", "PII_EMAIL", 1)


def test_usage_is_a_running_total_and_the_last_word_counts() -> None:
    stream = (
        begun()
        + ev("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 7, "input_tokens": None})
        + ended("end_turn", input_tokens=30, output_tokens_details={"thinking_tokens": 9})
    )
    assert read(stream)[1].usage == Usage(37, 41, 5, 9, 2)


def test_another_model_that_takes_over_is_the_one_that_answered() -> None:
    hop = {"type": "fallback", "from": {"model": "m-1"}, "to": {"model": "m-2"}}
    assert read(begun() + block(0, hop) + text(1, "ok") + ended("end_turn"))[1].model == "m-2"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("end_turn", "end"), ("stop_sequence", "end"), ("max_tokens", "length"), ("refusal", "refusal"),
     ("model_context_window_exceeded", "length"), ("pause_turn", "pause"), ("from_the_future", "end"), (None, None)],
)  # fmt: skip
def test_stop_reasons_in_the_neutral_words(reason: str | None, finish: str | None) -> None:
    assert read(begun() + text(0, "x") + ended(reason))[1].finish == finish


def test_an_error_event_is_the_last_part_and_no_success() -> None:
    failing = begun() + text(0, "so far") + ev("error", error={"type": "overloaded_error", "message": "busy"})
    reader = MessagesStream(Judge())
    step = reader.feed(failing)
    assert step.last.startswith(b"event: error")
    assert step.send + step.last == failing
    assert reader.failed
    assert reader.reply().finish == "error"


def test_an_error_event_without_a_type_is_one_by_its_name() -> None:
    reader = MessagesStream(Judge())
    reader.feed(begun() + b'event: error\ndata: {"error":{"message":"busy"}}\n\n')
    assert reader.failed


def test_a_stream_that_ends_without_its_last_event_is_not_finished() -> None:
    _, reply, _, reader = read(PARALLEL.split(b"event: message_delta")[0])
    assert (reader.ended, reply.finish) == (False, None)


def test_a_last_event_without_its_blank_line_is_judged_too() -> None:
    stream = (begun() + ev("content_block_start", index=0,
                           content_block={"type": "tool_use", "id": "t", "name": "a", "input": {}}))[:-2]  # fmt: skip
    out, _, _, _ = read(stream, Judge("a"))
    assert b"tool_use" not in out
    assert notice("a").encode() in out.replace(b'\\"', b'"')


TOOL = {"type": "tool_use", "id": "t", "name": "a", "input": {}}


@pytest.mark.parametrize(
    "part",
    [
        b"event: content_block_start\ndata: {\n\n",
        b'data: {"type":"content_block_start","content_block":[]}\n\n',
        ev("content_block_start", content_block=TOOL),
        ev("content_block_start", index=0),
        ev("content_block_start", index=0, content_block={**TOOL, "name": ""}),
        ev("content_block_start", index=0, content_block={**TOOL, "name": None}),
        begun(content=[TOOL]),
        b"event: ping\n" + ev("content_block_start", index=0, content_block=TOOL).split(b"\n", 1)[1],
        b"event: content_block_start\n" + ev("ping", index=0, content_block=TOOL).split(b"\n", 1)[1],
        b"event: other\n" + ev("content_block_start", index=0, content_block=TOOL).split(b"\n", 1)[1],
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"a","name":"b"}}\n\n',
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"a"},'
        b'"delta":{"type":"text_delta"},"type":"content_block_delta"}\n\n',
    ],
)
def test_what_cannot_be_judged_ends_the_stream(part: bytes) -> None:
    with pytest.raises(FormatError):
        MessagesStream(Judge()).feed(part)


@given(cut_positions, st.sampled_from([(), ("a",), ("b", "c"), ("a", "b", "c")]), st.booleans())
def test_any_chunking_of_any_mix_gives_the_same(cuts: list[int], refused: tuple[str, ...], restores: bool) -> None:
    stream = begun() + PARALLEL.removeprefix(begun()).removesuffix(ended()) + text(5, f"to {TOKEN}") + ended()
    judge = (lambda: restoring(refused)) if restores else (lambda: Judge(refused))
    expected = read(stream, judge())
    reader = MessagesStream(judge())
    assert streamed(reader, cut(stream, cuts)) == expected[0]
    assert (reader.reply(), reader.client_reply()) == expected[1:3]


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader_but_as_a_format_error(data: bytes) -> None:
    with suppress(FormatError):
        assert streamed(MessagesStream(Judge()), [data]) == data


@given(st.data())
def test_no_damage_lets_a_refused_call_through(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(ALONE) - 1))
    damaged = data.draw(st.sampled_from([
        ALONE[:at] + ALONE[at + 1 :], ALONE[:at] + b'"' + ALONE[at:], ALONE[:at] + b"\n" + ALONE[at:], ALONE[:at],
    ]))  # fmt: skip
    try:
        out = streamed(MessagesStream(Judge("a")), [damaged])
    except FormatError:
        return
    try:
        message = anthropic_sdk.accumulated(out)
    except Exception:  # a client that fails has not called anything
        return
    assert all(b.type != "tool_use" or b.name != "a" for b in message.content)
