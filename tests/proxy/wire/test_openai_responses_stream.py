from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.openai_responses import OpenAIResponses
from proxy.wire.openai_responses_stream import ResponsesStream
from tests.support import openai_sdk
from tests.support import responses as r
from tests.support.cassettes import streams
from tests.support.chunks import at_every_cut, cut, cut_positions
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring, streamed
from trajectory.conversation import Reply, ToolCall, Usage
from trajectory.errors import FormatError

PARALLEL = r.stream(
    r.reasoning(),
    r.message("See."),
    r.function("a", '{"x":1}'),
    r.function("b", "{}", namespace="crm"),
    r.custom("c", "free text"),
    r.shell("ls /", "pwd"),
    piece=5,
)
NAMES = ("a", "crm.b", "c", "shell")
# ends in what may begin a token: it is held, and let out ahead of the end of its text
RESTORED = r.stream(
    r.reasoning(TOKEN),
    r.message(f"Write to {TOKEN}, {TOKEN}P"),
    r.function("a", json.dumps({"to": TOKEN, "cc": [TOKEN]})),
    r.custom("c", f"mail {TOKEN} PII_"),
    r.shell(f"mail {TOKEN}"),
    piece=4,
)


def read(stream: bytes, judge: Judge | None = None) -> tuple[bytes, Reply, Reply, ResponsesStream]:
    reader = ResponsesStream(judge or Judge())
    out = streamed(reader, [stream])
    return out, reader.reply(), reader.client_reply(), reader


def numbers(out: bytes) -> list[int]:
    return [event["sequence_number"] for event in r.events_of(out)]


CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "a", "arguments": "{}"}
SHORT = (
    r.frame("response.output_item.added", 0, output_index=0, item=CALL)
    + r.frame("response.function_call_arguments.delta", 1, output_index=0, delta="{}")
    + r.frame("response.output_item.done", 2, output_index=0, item=CALL)
    + r.frame("response.output_text.delta", 3, output_index=1, content_index=0, delta=f"é {TOKEN[:7]}")
    + r.frame("response.output_text.delta", 4, output_index=1, content_index=0, delta=f"{TOKEN[7:]} PII_")
    + r.frame("response.completed", 5, response={"status": "completed", "output": [CALL, r.message(TOKEN)]})
)


@pytest.mark.parametrize("refused", [(), ("a",)], ids=str)
def test_every_cut_of_a_stream_gives_the_same_reply_and_the_same_output(refused: tuple[str, ...]) -> None:
    expected = read(SHORT, restoring(refused))
    assert expected[3].restored == 1
    for parts in at_every_cut(SHORT):
        reader = ResponsesStream(restoring(refused))
        assert streamed(reader, parts) == expected[0]
        assert (reader.reply(), reader.client_reply()) == expected[1:3]


@given(st.sampled_from([PARALLEL, RESTORED]), st.sets(st.sampled_from(NAMES)), cut_positions)
def test_any_chunking_gives_the_same_reply_and_the_same_output(
    stream: bytes, refused: set[str], cuts: list[int]
) -> None:
    expected = read(stream, restoring(refused))
    reader = ResponsesStream(restoring(refused))
    assert streamed(reader, cut(stream, cuts)) == expected[0]
    assert (reader.reply(), reader.client_reply(), reader.restored) == (*expected[1:3], expected[3].restored)


def test_a_stream_that_no_rule_concerns_passes_byte_for_byte() -> None:
    out, reply, shown, reader = read(PARALLEL)
    assert (out, reader.edited) == (PARALLEL, False)
    assert reply == shown
    assert reply.text == "See."
    assert reply.calls == (
        ToolCall("call_a", "a", '{"x":1}'),
        ToolCall("call_b", "crm.b", "{}"),
        ToolCall("call_c", "c", "free text"),
        ToolCall("call_sh", "shell", '{"commands":["ls /","pwd"],"timeout_ms":100}'),
    )
    assert (reply.finish, reply.usage, reply.model, reply.id) == ("tool_call", Usage(20, 9, 4, 5), "m-1", "resp_1")


@pytest.mark.parametrize("refused", [("a",), ("crm.b",), ("c", "shell"), ("a", "shell"), NAMES], ids=str)
def test_the_official_accumulator_reads_what_is_left_of_parallel_calls(refused: tuple[str, ...]) -> None:
    judge = Judge(refused)
    out, reply, shown, reader = read(PARALLEL, judge)
    final = r.accumulated(out)
    kinds = ["reasoning", "message", "function_call", "function_call", "custom_tool_call", "shell_call"]
    expected = ["message" if n in refused else k for n, k in zip(("", "", *NAMES), kinds, strict=True)]
    assert [item.type for item in final.output] == expected
    assert final.output_text == "See." + "".join(notice(n) for n in NAMES if n in refused) == shown.text
    assert final.usage.output_tokens == 9 and final.status == "completed"
    assert [c.name for c in reply.calls] == list(NAMES)
    assert [c.name for c in shown.calls] == [n for n in NAMES if n not in refused]
    assert shown.finish == ("end" if refused == NAMES else "tool_call")
    assert [v.subject for v in reader.refused] == list(refused)
    assert judge.asked == [("a", "call_a"), ("crm.b", "call_b"), ("c", "call_c"), ("shell", "call_sh")]
    assert numbers(out) == list(range(len(numbers(out))))


def test_an_agent_that_reads_deltas_sees_the_notice_and_no_byte_of_the_call() -> None:
    out, *_ = read(PARALLEL, Judge(("a",)))
    events = [e for e in r.events_of(out) if e.get("output_index") == 2]
    assert [e["type"].removeprefix("response.") for e in events] == [
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "output_item.done",
    ]  # fmt: skip
    assert events[2]["delta"] == events[3]["text"] == events[5]["item"]["content"][0]["text"] == notice("a")
    assert {e.get("item_id") or e["item"]["id"] for e in events} == {"msg_fc_a"}
    assert b'"call_a"' not in out and b'\\"x\\"' not in out
    assert [e.type for e in r.raw_events(out)][-1] == "response.completed"


def test_pseudonyms_are_restored_in_every_repetition_and_never_in_reasoning() -> None:
    out, reply, shown, reader = read(RESTORED, restoring())
    final = r.accumulated(out)
    assert final.output_text == f"Write to {VALUE}, {VALUE}P" == shown.text
    assert json.loads(final.output[2].arguments) == {"to": VALUE, "cc": [VALUE]}
    assert final.output[3].input == f"mail {VALUE} PII_"
    assert final.output[4].action.commands == [f"mail {VALUE}"]
    assert [c.arguments for c in shown.calls][:2] == [final.output[2].arguments, final.output[3].input]
    assert TOKEN in reply.text and TOKEN in reply.calls[0].arguments
    events = r.events_of(out)
    said: dict[str, str] = {}
    for event in events:
        kind = event["type"]
        if kind.endswith(".delta") or kind.endswith("command.added"):
            said[kind.rpartition(".")[0]] = said.get(kind.rpartition(".")[0], "") + (
                event.get("delta") or event.get("command") or ""
            )
    assert said["response.output_text"] == final.output_text
    assert said["response.function_call_arguments"] == final.output[2].arguments
    assert said["response.custom_tool_call_input"] == final.output[3].input
    assert said["response.shell_call_command"] == final.output[4].action.commands[0]
    order = [e["type"] for e in events]
    for stem in said:  # what was held comes ahead of the end of its text
        assert len(order) - order[::-1].index(f"{stem}.delta") <= order.index(f"{stem}.done")
    ends = {e["type"]: e for e in events if e["type"].endswith(".done")}
    assert ends["response.output_text.done"]["text"] == ends["response.content_part.done"]["part"]["text"]
    assert ends["response.output_text.done"]["text"] == final.output_text
    assert ends["response.function_call_arguments.done"]["arguments"] == final.output[2].arguments
    assert out.count(TOKEN.encode()) == 6  # what is left is reasoning: twice in each item, three times
    assert (final.output[0].summary[0].text, final.output[0].encrypted_content) == (TOKEN, f"gAAA{TOKEN}")
    assert reader.restored == 6
    assert numbers(out) == list(range(len(numbers(out))))


@pytest.mark.parametrize("piece", range(1, 25))
def test_a_pseudonym_cut_anywhere_is_restored(piece: int) -> None:
    stream = r.stream(r.message(f"a {TOKEN} b PII_EM"), r.function("a", json.dumps({"to": TOKEN})), piece=piece)
    out, *_ = read(stream, restoring())
    final = r.accumulated(out)
    deltas = [e["delta"] for e in r.events_of(out) if e["type"] == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text == f"a {VALUE} b PII_EM"
    assert json.loads(final.output[1].arguments) == {"to": VALUE}


def test_what_is_held_of_a_text_whose_end_is_not_told_comes_ahead_of_the_end_of_its_item() -> None:
    where = {"output_index": 0, "content_index": 0}
    stream = r.frame("response.output_text.delta", 0, **where, delta="a PII_EM") + r.frame(
        "response.output_item.done", 1, output_index=0, item=r.message("a PII_EM")
    )
    events = r.events_of(read(stream, restoring())[0])
    assert [(e["sequence_number"], e.get("delta")) for e in events] == [(0, "a "), (1, "PII_EM"), (2, None)]


def test_a_refused_call_that_is_added_twice_is_told_of_once() -> None:
    added = r.frame("response.output_item.added", 0, output_index=0, item=r.function("bad"))
    out, *_ = read(added + added, Judge(("bad",)))
    assert [e["type"] for e in r.events_of(out)].count("response.output_text.delta") == 1


def test_what_is_held_when_the_stream_breaks_off_is_let_out() -> None:
    whole = r.stream(r.message("a PII_EM"), piece=2)
    broken = whole[: whole.index(b"event: response.output_text.done")]
    out, reply, _, reader = read(broken, restoring())
    assert "".join(e["delta"] for e in r.events_of(out) if e["type"].endswith("text.delta")) == "a PII_EM"
    assert (reply.text, reply.finish, reader.ended) == ("a PII_EM", None, False)


def test_the_terminal_event_is_the_last_part_and_nothing_else_is() -> None:
    reader = ResponsesStream(Judge())
    steps = [reader.feed(f + b"\n\n") for f in PARALLEL.split(b"\n\n")[:-1]]
    assert all(step.send and not step.last for step in steps[:-1])
    assert steps[-1].last.startswith(b"event: response.completed") and not steps[-1].send
    assert reader.ended


@pytest.mark.parametrize("status", ["failed", "incomplete"])
def test_other_terminal_events_end_the_stream(status: str) -> None:
    details = {"reason": "max_output_tokens"} if status == "incomplete" else None
    stream = r.stream(r.message("hi"), status=status, incomplete_details=details)
    out, reply, _, reader = read(stream)
    assert (out, reader.ended, reader.failed) == (stream, True, status == "failed")
    assert reply.finish == ("error" if status == "failed" else "length")


def test_an_error_event_waits_for_the_response_that_failed() -> None:
    begun = r.frame("response.created", 0, response=r.response(status="in_progress"))
    error = r.frame("error", 1, code="server_error", message="boom", param=None)
    failed = r.frame("response.failed", 2, response=r.response(status="failed"))
    reader = ResponsesStream(Judge())
    assert reader.feed(begun).send == begun
    assert reader.feed(error).send == reader.feed(b"").last == b""
    assert reader.feed(failed).last == error + failed
    reader = ResponsesStream(Judge())
    reader.feed(begun + error)
    assert (reader.end().last, reader.failed, reader.reply().finish) == (error, True, "error")


def test_a_terminator_of_compatible_servers_ends_the_stream() -> None:
    done = b"data: [DONE]\n\n"
    out, _, _, reader = read(PARALLEL + done)
    assert (out, reader.ended) == (PARALLEL + done, True)


def test_unknown_events_comments_and_the_calls_of_the_provider_pass_untouched() -> None:
    made = r.Stream()
    made.add("created", response=r.response(status="in_progress"))
    hosted = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"query": TOKEN}}
    mcp = {"id": "m_1", "type": "mcp_call", "name": "bad", "arguments": TOKEN, "server_label": "x", "output": TOKEN}
    made.item(0, hosted)
    made.item(1, mcp)
    made.add("mcp_call_arguments.delta", output_index=1, delta=TOKEN)
    made.add("sparkle.delta", output_index=7, delta={"x": 1})
    made.add("completed", response=r.response(hosted, mcp))
    stream = b": keep-alive\n\n" + made.bytes() + b"event: ping\n\n"
    out, reply, _, reader = read(stream, restoring(("bad", "web_search", "mcp")))
    assert (out, reply.calls, reader.edited) == (stream, (), False)


def test_the_computer_goes_by_the_type_under_which_it_was_offered() -> None:
    call = {"id": "cu_1", "type": "computer_call", "call_id": "c9", "action": {"type": "wait"}, "status": "completed"}
    for kind in ("computer", "computer_use_preview"):
        judge = Judge()
        read(r.stream(call, tools=[{"type": kind}]), judge)
        assert judge.asked == [(kind, "c9")]


@pytest.mark.parametrize(
    "second",
    [
        r.frame("response.output_item.done", 1, output_index=0, item=r.function("b")),
        r.frame("response.output_item.done", 1, output_index=0, item=r.message("b")),
        r.frame("response.output_item.done", 1, output_index=0, item=r.function("a", namespace="x")),
        r.frame("response.function_call_arguments.delta", 1, output_index=1, delta="{"),
        r.frame("response.shell_call_command.added", 1, output_index=3, command="rm"),
        b'data: {"type":"x","item":{"type":"message","type":"function_call"}}\n\n',
        b'data: {"type":"response.completed","response":{"output":[{"type":"x"}],"output":[{"type":"y"}]}}\n\n',
        b'event: response.output_text.delta\ndata: {"type":"response.output_item.done","item":{}}\n\n',
        b"data: {\n\n", b"data: []\n\n", b"data: \xff\n\n", b"data\n\ndata\n: {}\n\nfoo\n\n",
    ],
)  # fmt: skip
def test_what_cannot_be_judged_fails_the_stream(second: bytes) -> None:
    reader = ResponsesStream(Judge())
    reader.feed(r.frame("response.output_item.added", 0, output_index=0, item=r.function("a")))
    with pytest.raises(FormatError):
        reader.feed(second)


def test_keys_in_escapes_hide_no_call() -> None:
    hidden = b'data: {"type":"x","output_index":0,"it\\u0065m":{"type":"function\\u005fcall","name":"b\\u0061d"}}\n\n'
    out, _, _, reader = read(hidden, Judge(("bad",)))
    assert [v.subject for v in reader.refused] == ["bad"] and b"function" not in out


def test_a_call_that_stands_only_in_the_terminal_event_is_judged_there() -> None:
    end = r.frame("response.completed", 4, response=r.response(r.function("bad"), r.function("ok")))
    out, reply, shown, _ = read(end, Judge(("bad",)))
    assert [i["type"] for i in r.events_of(out)[0]["response"]["output"]] == ["message", "function_call"]
    assert [c.name for c in shown.calls] == ["ok"] and [c.name for c in reply.calls] == ["bad", "ok"]


def test_an_event_over_several_data_lines_is_edited_into_one() -> None:
    item = r.frame("response.output_item.done", 0, output_index=0, item=r.function("bad"))
    lines = item.replace(b', "', b',\ndata: "')
    out, *_ = read(lines, Judge(("bad",)))
    assert r.events_of(out)[0]["item"]["content"][0]["text"] == notice("bad")


def test_a_failing_stream_ends_in_an_error_that_the_client_raises() -> None:
    wire = OpenAIResponses()
    reader = ResponsesStream(Judge())
    assert reader.error_event("x", "y") is None
    begun = r.frame("response.created", 0, response=r.response(status="in_progress"))
    assert reader.feed(begun).send == begun
    late = reader.error_event("egress_budget_exhausted", "Too much.")
    assert late is not None
    for stream in (begun + late, wire.error_event("egress_budget_exhausted", "Too much.")):
        for make in (r.raw_events, r.accumulated):
            with pytest.raises(openai_sdk.errors(), match="Too much") as raised:
                make(stream)
            assert raised.value.code == "egress_budget_exhausted"
    events = r.events_of(late)
    assert [(e["type"], e["sequence_number"]) for e in events] == [("error", 1), ("response.failed", 2)]
    assert (events[1]["response"]["id"], events[1]["response"]["error"]["code"]) == (
        "resp_1",
        "egress_budget_exhausted",
    )


def test_every_recorded_call_can_be_refused_without_breaking_the_client() -> None:
    judged = 0
    for name, stream in streams("/responses"):
        names = {call.name for call in read(stream)[1].calls}
        if not names:
            continue
        judged += 1
        out, _, shown, reader = read(stream, Judge(names))
        final = r.accumulated(out)
        assert not shown.calls and len(reader.refused) >= len(names), name
        assert final.output_text == shown.text
        assert not any(i.type.endswith("function_call") for i in final.output)
    assert judged > 8
