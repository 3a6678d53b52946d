from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.gemini_interactions import GeminiInteractions
from proxy.wire.gemini_interactions_stream import InteractionStream
from proxy.wire.layout import Layout, read_layout
from tests.support.chunks import at_every_cut
from tests.support.genai_sdk import interaction, streamed_interaction
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring, streamed
from trajectory.conversation import Message, Text, ToolCall, ToolResult
from trajectory.errors import FormatError

WIRE = GeminiInteractions()
DONE = b"event: done\ndata: [DONE]\n\n"
USAGE = {"total_input_tokens": 4, "total_output_tokens": 2, "total_thought_tokens": 3, "total_tokens": 9}
SEARCH = {"type": "google_search"}


def told(kind: str, **more: Any) -> bytes:
    data = json.dumps({"event_type": kind, **more}, ensure_ascii=False).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def started(index: int, kind: str, **more: Any) -> bytes:
    return told("step.start", index=index, step={"type": kind, **more})


def delta(index: int, kind: str, **more: Any) -> bytes:
    return told("step.delta", index=index, delta={"type": kind, **more}, event_id=f"e{index}")


def ended(status: str = "requires_action", *, done: bytes = DONE, **more: Any) -> bytes:
    whole = {"id": "i1", "status": status, "model": "gemini-x", "usage": USAGE, **more}
    return (
        told("interaction.status_update", interaction_id="i1", status=status)
        + told("interaction.completed", interaction=whole)
        + done
    )


def called(index: int, name: str, *pieces: str) -> bytes:
    return (
        started(index, "function_call", id=f"c{index}", name=name, arguments={})
        + b"".join(delta(index, "arguments_delta", arguments=piece) for piece in pieces)
        + told("step.stop", index=index)
    )


CREATED = told("interaction.created", interaction={"id": "i1", "status": "in_progress", "model": "gemini-x"})
THOUGHT = started(0, "thought") + delta(0, "thought_signature", signature=TOKEN) + told("step.stop", index=0)
TEXT = started(1, "model_output") + b"".join(delta(1, "text", text=c) for c in ("Hi ", TOKEN[:9], TOKEN[9:] + " P"))
TEXT += told("step.stop", index=1)
CALLS = called(2, "a", '{"to": "PII_', TOKEN[4:] + '"}') + called(3, "b", "{}")
STREAM = CREATED + THOUGHT + TEXT + CALLS + ended()


def read(stream: bytes, judge: Judge | None = None) -> tuple[bytes, InteractionStream]:
    reader = WIRE.stream(judge or Judge())
    return streamed(reader, [stream]), reader


def datas(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(f.split(b"data: ")[1]) for f in stream.split(b"\n\n") if b"{" in f]


@pytest.mark.parametrize("refused", [(), ("a",), ("a", "b")], ids="".join)
def test_every_cut_of_a_stream_gives_the_same_reply_and_the_same_output(refused: tuple[str, ...]) -> None:
    stream = CREATED + TEXT[-240:].partition(b"\n\n")[2] + CALLS + ended()
    whole, reader = read(stream, restoring(refused))
    for parts in at_every_cut(stream):
        other = WIRE.stream(restoring(refused))
        assert streamed(other, parts) == whole
        assert (other.reply(), other.client_reply()) == (reader.reply(), reader.client_reply())
        assert (other.refused, other.restored) == (reader.refused, reader.restored)


def test_a_stream_that_no_rule_concerns_passes_byte_for_byte() -> None:
    out, reader = read(STREAM)
    assert out == STREAM
    assert not reader.edited
    reply = reader.reply()
    assert reply.text == f"Hi {TOKEN} P"
    assert reply.calls == (ToolCall("c2", "a", f'{{"to": "{TOKEN}"}}'), ToolCall("c3", "b", "{}"))
    assert (reply.finish, reply.id, reply.model) == ("tool_call", "i1", "gemini-x")
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (4, 5)


def test_values_are_put_back_in_text_and_arguments_but_not_in_thoughts() -> None:
    out, reader = read(STREAM, restoring())
    events = datas(out)
    deltas = [e["delta"] for e in events if e["event_type"] == "step.delta"]
    assert deltas[0] == {"type": "thought_signature", "signature": TOKEN}
    assert "".join(d["text"] for d in deltas if d["type"] == "text") == f"Hi {VALUE} P"
    arguments = "".join(d["arguments"] for d in deltas if d["type"] == "arguments_delta")
    assert arguments == json.dumps({"to": VALUE}, ensure_ascii=False) + "{}"
    assert reader.client_reply().text == f"Hi {VALUE} P"
    assert json.loads(reader.client_reply().calls[0].arguments) == {"to": VALUE}
    assert [e["index"] for e in events if e["event_type"] == "step.stop"] == [0, 1, 2, 3]


@pytest.mark.parametrize(("refused", "status"), [(("a",), "requires_action"), (("a", "b"), "completed")])
def test_a_refused_call_is_a_text_step_at_its_index(refused: tuple[str, ...], status: str) -> None:
    out, reader = read(STREAM, Judge(refused))
    events = streamed_interaction(out)
    steps = {e.index: e.step for e in events if e.event_type == "step.start"}
    assert [steps[i].type for i in range(4)] == [
        "thought", "model_output", "model_output", "model_output" if "b" in refused else "function_call",
    ]  # fmt: skip
    said = "".join(e.delta.text for e in events if e.event_type == "step.delta" and e.index == 2)
    assert said == notice("a")
    kinds = {e.delta.type for e in events if e.event_type == "step.delta" and e.index == 3}
    assert kinds == ({"text"} if "b" in refused else {"arguments_delta"})
    assert [e.status for e in events if e.event_type == "interaction.status_update"] == [status]
    assert events[-1].event_type == "interaction.completed"
    assert (events[-1].interaction.status, events[-1].interaction.usage.total_tokens) == (status, 9)
    assert len(reader.reply().calls) == 2
    assert len(reader.client_reply().calls) == 2 - len(refused)
    assert notice("a") in reader.client_reply().text


def test_steps_that_the_last_event_repeats_are_judged_once_and_changed_alike() -> None:
    steps = [
        {"type": "model_output", "content": [{"type": "text", "text": f"Hi {TOKEN} P"}]},
        {"type": "function_call", "id": "c2", "name": "a", "arguments": {"to": TOKEN}},
        {"type": "function_call", "id": "c3", "name": "b", "arguments": {"to": TOKEN}},
    ]
    judge = restoring({"a"})
    out, reader = read(CREATED + TEXT + CALLS + ended(steps=steps), judge)
    repeated = datas(out)[-1]["interaction"]["steps"]
    assert repeated == [
        {"type": "model_output", "content": [{"type": "text", "text": f"Hi {VALUE} P"}]},
        {"type": "model_output", "content": [{"type": "text", "text": notice("a")}]},
        {"type": "function_call", "id": "c3", "name": "b", "arguments": {"to": VALUE}},
    ]
    assert len(judge.asked) == 2
    assert len(reader.reply().calls) == 2


def test_the_completed_event_waits_for_the_end() -> None:
    reader = WIRE.stream(Judge())
    sent = reader.feed(STREAM.removesuffix(DONE)).send
    step = reader.feed(DONE)
    assert (sent + step.last, step.send, reader.ended) == (STREAM, b"", True)
    assert b"interaction.completed" in step.last
    reader = WIRE.stream(Judge())
    assert b"interaction.completed" not in reader.feed(STREAM.removesuffix(DONE)).send
    assert b"interaction.completed" in reader.end().last


@pytest.mark.parametrize(
    "stream",
    [
        delta(0, "arguments_delta", arguments="{}"),
        delta(0, "function_call", name="a"),
        told("content.delta", delta={"type": "function_call", "name": "a"}),
        started(0, "function_call", id="x"),
        called(0, "a") + called(0, "b"),
        b'data: {"event_type":"step.start","index":0,"step":{},"step":{"type":"function_call","name":"a"}}\n\n',
        b'data: {"event_type":"x","eventType":"step.start"}\n\n',
        b"data: [1]\n\n",
    ],
)
def test_what_cannot_be_judged_is_refused(stream: bytes) -> None:
    with pytest.raises(FormatError):
        read(stream)


def test_unknown_events_and_errors_pass() -> None:
    stream = CREATED + told("interaction.new", x=1) + told("error", error={"code": "x", "message": "y"}) + b": ping\n\n"
    out, reader = read(stream)
    assert (out, reader.failed, reader.reply().finish) == (stream, True, "error")


def whole(status: str = "requires_action") -> bytes:
    steps = [
        {"type": "thought", "signature": "c2ln", "summary": [{"type": "text", "text": TOKEN}]},
        {"type": "model_output", "content": [{"type": "text", "text": f"Hi {TOKEN}"}]},
        {"type": "function_call", "id": "c2", "name": "a", "arguments": {"to": TOKEN}},
        {"type": "function_call", "id": "c3", "name": "b", "arguments": {"to": TOKEN}},
    ]
    made = {"id": "i1", "status": status, "model": "gemini-x", "steps": steps, "usage": USAGE, "output_text": TOKEN}
    return json.dumps(made, indent=1).encode()


def test_a_whole_reply_is_judged_and_restored_by_span() -> None:
    untouched = WIRE.read_reply(whole(), Judge())
    assert untouched.client == whole()
    assert untouched.client_reply is None
    read_ = WIRE.read_reply(whole(), restoring({"a"}))
    got = interaction(read_.client)
    assert got.status == "requires_action"
    assert got.steps[0].summary[0].text == TOKEN
    assert got.steps[1].content[0].text == f"Hi {VALUE}"
    assert got.steps[2].content[0].text == notice("a")
    assert got.steps[3].arguments == {"to": VALUE}
    assert json.loads(read_.client)["output_text"] == VALUE
    assert read_.client_reply is not None
    assert [c.name for c in read_.client_reply.calls] == ["b"]
    assert [c.name for c in read_.reply.calls] == ["a", "b"]
    assert interaction(WIRE.read_reply(whole(), Judge({"a", "b"})).client).status == "completed"


def layout(**body: Any) -> Layout:
    return read_layout(json.dumps({"model": "gemini-x", "input": "hi", **body}).encode(), WIRE.list_key)


def sent(made: Layout) -> dict[str, Any]:
    return json.loads(b"".join(span.data for span in made.assembled()))


def test_every_door_of_a_tool_is_offered() -> None:
    asked = WIRE.read_request(
        layout(
            tools=[{"type": "function", "name": "f"}, SEARCH, {"type": "mcp_server", "name": "f", "url": "x"}],
            environment="e1",
            input=[{"type": "tool_search_result", "call_id": "x", "result": [{"type": "function", "name": "found"}]}],
            generation_config={"max_output_tokens": 7, "tool_choice": {"allowed_tools": {"tools": ["stored"]}}},
        ),
        "/v1/interactions",
    )
    assert [t.name for t in asked.tools] == ["f", "google_search", "mcp_server", "found", "environment", "stored"]
    assert (asked.model, asked.max_tokens, asked.forced_tool) == ("gemini-x", 7, None)
    one = {"tool_choice": {"allowed_tools": {"mode": "any", "tools": ["f"]}}}
    assert WIRE.read_request(layout(generation_config=one), "").forced_tool == "f"
    assert WIRE.read_request(layout(cached_content="c/1"), "").forced_tool == "cached_content"
    agent = read_layout(b'{"agent":"deep-research","input":"x"}', "input")
    assert WIRE.read_request(agent, "").forced_tool == "agent:deep-research"


@pytest.mark.parametrize(
    "body",
    [
        {"background": True},
        {"webhook_config": {"uris": ["https://x"]}},
        {"tools": [], "Tools": []},
        {"agent": "x"},
        {"model": 1},
        {"tools": [{"type": "function"}]},
        {"input": [{"type": "user_input", "content": [{"text": "a", "Text": "b"}]}]},
    ],
)
def test_what_no_rule_can_follow_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        WIRE.read_request(layout(**body), "/v1/interactions")


def test_dropped_tools_leave_the_rest_as_it_was() -> None:
    function = {"type": "function", "name": "f"}
    found = {"type": "tool_search_result", "call_id": "x", "result": [function, {"type": "function", "name": "g"}]}
    made = layout(tools=[SEARCH, function], environment={"type": "remote"}, input=[found])
    WIRE.drop_tools(made, frozenset({"google_search", "environment", "g"}))
    assert sent(made) == {
        "model": "gemini-x", "tools": [function],
        "input": [{"type": "tool_search_result", "call_id": "x", "result": [function]}],
    }  # fmt: skip
    made = layout(tools=[SEARCH], generation_config={"tool_choice": "any", "seed": 1})
    WIRE.drop_tools(made, frozenset({"google_search"}))
    assert sent(made) == {"model": "gemini-x", "input": "hi", "generation_config": {"seed": 1}}


def test_a_list_of_allowed_tools_follows_the_tools() -> None:
    tools = [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}, SEARCH]
    choice = {"allowed_tools": {"mode": "auto", "tools": ["f", "g"]}}
    made = layout(tools=tools, generation_config={"tool_choice": choice})
    WIRE.drop_tools(made, frozenset({"g", "google_search"}))
    assert sent(made)["tools"] == tools[:1]
    assert sent(made)["generation_config"]["tool_choice"] == {"allowed_tools": {"mode": "auto", "tools": ["f"]}}
    made = layout(tools=[*tools[:2], {"type": "function", "name": "h"}], generation_config={"tool_choice": choice})
    WIRE.drop_tools(made, frozenset({"f", "g"}))
    assert sent(made)["generation_config"] == {"tool_choice": "none"}
    made = layout(tools=tools[:2], generation_config={"tool_choice": choice})
    WIRE.drop_tools(made, frozenset({"f", "g"}))
    assert "generation_config" not in sent(made) and "tools" not in sent(made)


def test_steps_are_read_and_linked() -> None:
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
        {"type": "function_call", "id": "c1", "name": "f", "arguments": {"x": 1}},
        {"type": "function_result", "call_id": "c1", "name": "f", "result": "4", "is_error": True},
        {"type": "text", "text": "again"},
    ]
    made = layout(input=steps, previous_interaction_id="i0")
    assert [WIRE.read_message(item.section) for item in made.items] == [
        Message("user", (Text("hi"),)),
        Message("assistant", (ToolCall("c1", "f", '{"x":1}'),)),
        Message("tool", (ToolResult("c1", "4", is_error=True),)),
        Message("user", (Text("again"),)),
    ]
    assert WIRE.links(made) == ["c1", "i0"]


def test_another_model_takes_the_place_of_the_model_and_of_an_agent() -> None:
    made = layout(generation_config={"seed": 1})
    WIRE.set_model(made, "gemini-y", {"temperature": 0.5})
    assert sent(made) == {"model": "gemini-y", "input": "hi", "generation_config": {"seed": 1, "temperature": 0.5}}


def test_answers_of_our_own_are_read_by_the_sdk() -> None:
    final = WIRE.final_message("It is over.", "gemini-x", streamed=False)
    assert interaction(final.body).output_text == "It is over."
    events = streamed_interaction(WIRE.final_message("It is over.", "gemini-x", streamed=True).body)
    assert [e.event_type for e in events][-1] == "interaction.completed"
    assert "".join(e.delta.text for e in events if e.event_type == "step.delta") == "It is over."
    [error] = streamed_interaction(WIRE.error_event("egress_budget_exhausted", "spent"))
    assert (error.event_type, error.error.code) == ("error", "egress_budget_exhausted")
