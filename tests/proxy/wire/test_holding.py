"""Calls judged by their arguments in streams: nothing of a refused one comes out, and nothing else waits for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.bedrock import BedrockConverse
from proxy.wire.choose import WIRES, wire_of
from proxy.wire.eventstream import encoded
from proxy.wire.format import StreamReader
from proxy.wire.gemini import GeminiGenerateArray
from proxy.wire.holding import HoldingReader, stream_reader
from proxy.wire.ollama import OllamaChat
from tests.support.chunks import cut, cut_positions
from tests.support.judging import TOKEN, VALUE, Judge, notice, streamed
from tests.support.parity.format import Call, ModelFormat
from tests.support.parity.formats import MODEL_FORMATS
from trajectory.errors import FormatError

GOOD, BAD = Call("careful", '{"path":"/workspace/notes"}'), Call("careful2", '{"path":"/etc/PRIVATE"}')
FREE = Call("free", '{"x":"anything"}')
every_format = pytest.mark.parametrize("form", MODEL_FORMATS, ids=lambda form: form.name)


class Careful(Judge):
    """Judges calls of tools whose name begins with "careful" by their arguments: PRIVATE must not stand in them."""

    reads_arguments = True

    def __init__(self, values: dict[str, str] | None = None) -> None:
        super().__init__(refused=["banned"], values=values)
        self.reads_arguments = True

    def awaits_arguments(self, name: str) -> bool:
        return name.startswith("careful")

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        refused = super().call(name, call_id, arguments)
        if refused is None and self.awaits_arguments(name):
            assert isinstance(arguments, str), "judged before its arguments were there"
            if "PRIVATE" in arguments or not arguments.endswith("}"):
                return Refuse("tool_arguments_refused", "tools", notice(name), name)
        return refused


def reader(form: ModelFormat, judge: Judge) -> StreamReader:
    return stream_reader(WIRES[wire_of("POST", form.streams_at.partition("?")[0])].stream, judge)


def read(form: ModelFormat, parts: list[bytes], judge: Judge | None = None) -> bytes:
    return streamed(reader(form, judge or Careful()), parts)


@every_format
def test_a_call_is_refused_by_its_arguments_and_the_others_stay(form: ModelFormat) -> None:
    judge = Careful()
    out = read(form, form.stream("Hello there", calls=(GOOD, BAD, FREE)), judge)
    got = form.understood(out, streamed=True)
    assert got.calls == (("careful", {"path": "/workspace/notes"}), ("free", {"x": "anything"}))
    assert got.text.startswith("Hello there") and notice("careful2") in got.text and not got.error
    assert b"PRIVATE" not in out
    assert [name for name, _ in judge.asked] == ["careful", "careful2", "free"]


@every_format
def test_where_all_calls_pass_the_stream_passes_byte_for_byte(form: ModelFormat) -> None:
    stream = form.stream("Hello", calls=(GOOD, FREE))
    made = reader(form, Careful())
    assert streamed(made, stream) == b"".join(stream)
    assert isinstance(made, HoldingReader) and not made.edited and made.refused == []
    assert made.ended or form.name == "Gemini"  # whose streams have no terminator
    assert made.reply().calls == made.client_reply().calls and len(made.reply().calls) == 2


@every_format
def test_both_views_of_a_refused_call_are_kept(form: ModelFormat) -> None:
    made = reader(form, Careful())
    streamed(made, form.stream(calls=(BAD,)))
    assert [(c.name, json.loads(c.arguments)) for c in made.reply().calls] == [("careful2", {"path": "/etc/PRIVATE"})]
    assert made.client_reply().calls == () and notice("careful2") in made.client_reply().text
    assert made.edited and [refused.code for refused in made.refused] == ["tool_arguments_refused"]


@every_format
@settings(max_examples=25, deadline=None)
@given(cuts=cut_positions)
def test_any_cut_of_a_stream_gives_the_same_bytes(form: ModelFormat, cuts: list[int]) -> None:
    events = form.stream("Hello", calls=(FREE, BAD, GOOD))
    assert read(form, cut(b"".join(events), cuts)) == read(form, events)


@every_format
def test_text_flows_at_once_and_nothing_of_an_open_call_does(form: ModelFormat) -> None:
    """Event by event, and all of it in one part: what is out when the first piece of arguments has come."""
    made, plain = reader(form, Careful()), reader(form, Judge())
    for event in form.stream("Hello there", calls=(BAD, FREE)):
        out, there = made.feed(event), plain.feed(event)
        if b"careful2" in event:
            break
        assert (out.send, out.last) == (there.send, there.last)
    assert b"careful2" not in out.send or notice("careful2").encode() in out.send.replace(b"\\", b"")
    events = form.stream("Hello there", calls=(BAD,))
    called = next(i for i, event in enumerate(events) if b"careful2" in event)
    whole = reader(form, Careful()).feed(b"".join(events[: called + 2]))
    assert b"there" in whole.send and b"PRIVATE" not in whole.send


@every_format
def test_calls_that_no_rule_reads_do_not_wait(form: ModelFormat) -> None:
    made, plain = reader(form, Careful()), reader(form, Judge())
    for event in form.stream("Hello", calls=(FREE, Call("banned"), FREE)):
        out, there = made.feed(event), plain.feed(event)
        if b"banned" in event:
            return
        assert (out.send, out.last) == (there.send, there.last)


@every_format
def test_a_call_that_breaks_off_is_judged_as_it_stands(form: ModelFormat) -> None:
    if form.name == "Gemini":
        pytest.skip("a call of this format comes whole in one event")
    events = form.stream(calls=(GOOD,))
    start = next(i for i, event in enumerate(events) if b"careful" in event)
    out = read(form, events[: start + 3])
    assert notice("careful").encode() in out.replace(b"\\", b"") and b"workspace" not in out


@every_format
def test_values_are_in_place_of_pseudonyms_when_a_call_goes_on(form: ModelFormat) -> None:
    call = Call("careful", json.dumps({"to": f"<{TOKEN}>"}))
    got = form.understood(read(form, form.stream(calls=(call,)), Careful({TOKEN: VALUE})), streamed=True)
    assert got.calls == (("careful", {"to": f"<{VALUE}>"}),)


@every_format
def test_what_is_held_is_bounded_and_above_the_bound_the_call_is_refused(
    form: ModelFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form.name == "Gemini":
        pytest.skip("a call of this format comes whole in one event")
    monkeypatch.setattr("proxy.wire.holding.MAX_HELD_BYTES", 2000)
    call = Call("careful", json.dumps({"path": "/workspace/" + "a" * 500}))
    after = Call("careful2", '{"path":"/workspace"}')
    got = form.understood(read(form, form.stream("Hi", calls=(call, after))), streamed=True)
    assert "did not end within 2000 bytes" in got.text and got.calls == (("careful2", {"path": "/workspace"}),)


def attacked(name: str, events: list[bytes]) -> bytes:
    """What gets out of a stream of this format; the same however it is cut."""
    form = next(form for form in MODEL_FORMATS if form.name == name)
    out: list[bytes] = []
    for parts in (events, [b"".join(events)]):
        made, got = reader(form, Careful()), b""
        try:
            for part in parts:
                step = made.feed(part)
                got += step.send + step.last
            step = made.end()
            got += step.send + step.last
        except FormatError:
            got += b"<cut>"
        out.append(got)
    assert b"PRIVATE" not in out[0] + out[1]
    return out[0]


def spliced(name: str, *more: bytes, before: bytes) -> list[bytes]:
    """The events of one good call, with `more` ahead of the first one that contains `before`."""
    form = next(form for form in MODEL_FORMATS if form.name == name)
    events = form.stream(calls=(GOOD,))
    at = next(i for i, event in enumerate(events) if before in event)
    return [*events[:at], *more, *events[at:]]


def named(event: str, data: object) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


def test_arguments_that_come_after_their_end_get_nowhere() -> None:
    late = {"index": 0, "function": {"arguments": ',"path":"PRIVATE"}'}}
    other = {"index": 1, "id": "c9", "function": {"name": "free", "arguments": "{}"}}

    def chunk(*calls: object) -> bytes:
        return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}).encode() + b"\n\n"

    assert b"<cut>" in attacked("chat", spliced("chat", chunk(other), chunk(late), before=b'"finish_reason": "tool'))
    delta = {"type": "input_json_delta", "partial_json": ',"path":"PRIVATE"}'}
    piece = named("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta})
    assert b"<cut>" in attacked("Messages", spliced("Messages", piece, before=b"message_delta"))
    told = {"event_type": "step.delta", "index": 0, "delta": {"type": "arguments_delta", "arguments": '"PRIVATE"'}}
    assert b"<cut>" in attacked("Interactions", spliced("Interactions", named("step.delta", told), before=b"completed"))
    piece = named(
        "response.function_call_arguments.delta",
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "PRIVATE"},
    )
    assert b"<cut>" in attacked("Responses", spliced("Responses", piece, before=b"response.completed"))


def test_a_call_that_is_told_twice_is_told_the_same_twice() -> None:
    good, other = json.dumps(GOOD.arguments).encode(), json.dumps('{"path":"PRIVATE"}').encode()
    form = next(form for form in MODEL_FORMATS if form.name == "Responses")
    events = form.stream(calls=(GOOD,))
    for place in ("arguments.done", "output_item.done", "response.completed"):
        changed = [e.replace(good, other) if place.encode() in e else e for e in events]
        assert changed != events
        attacked("Responses", changed)
    form = next(form for form in MODEL_FORMATS if form.name == "Interactions")
    steps = {"steps": [{"type": "function_call", "id": GOOD.id, "name": "careful", "arguments": {"path": "PRIVATE"}}]}
    told = {"event_type": "interaction.completed", "interaction": {"id": "i1", "status": "requires_action", **steps}}
    assert b"<cut>" in attacked(
        "Interactions", [*form.stream(calls=(GOOD,))[:-2], named("interaction.completed", told)]
    )
    same = {**steps["steps"][0], "arguments": json.loads(GOOD.arguments)}
    told["interaction"] = {"id": "i1", "status": "requires_action", "steps": [same]}
    assert b"<cut>" not in attacked(
        "Interactions", [*form.stream(calls=(GOOD,))[:-2], named("interaction.completed", told)]
    )


def test_a_second_call_under_the_id_of_a_first_is_a_call_of_its_own() -> None:
    twin = Call("careful", '{"path":"PRIVATE"}')
    for form in MODEL_FORMATS:
        out = attacked(form.name, form.stream(calls=(GOOD, twin)))
        assert [name for name, _ in form.understood(out, streamed=True).calls] == ["careful"]


def test_arguments_that_stand_in_the_beginning_of_a_call_count() -> None:
    start = {"type": "tool_use", "id": "t", "name": "careful", "input": {"path": "PRIVATE"}}
    begun = named("content_block_start", {"type": "content_block_start", "index": 1, "content_block": start})
    stop = named("content_block_stop", {"type": "content_block_stop", "index": 1})
    piece = {"type": "input_json_delta", "partial_json": '{"path":"/workspace"}'}
    delta = named("content_block_delta", {"type": "content_block_delta", "index": 1, "delta": piece})
    attacked("Messages", spliced("Messages", begun, stop, before=b"message_delta"))
    attacked("Messages", spliced("Messages", begun, delta, stop, before=b"message_delta"))
    step = {"type": "function_call", "id": "i", "name": "careful", "arguments": {"path": "PRIVATE"}}
    begun = named("step.start", {"event_type": "step.start", "index": 1, "step": step})
    stop = named("step.stop", {"event_type": "step.stop", "index": 1})
    attacked("Interactions", spliced("Interactions", begun, stop, before=b"completed"))


def test_gemini_arguments_in_pieces_are_judged_once_they_are_whole() -> None:
    def chunk(**call: object) -> bytes:
        part = {"functionCall": call}
        return b"data: " + json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode() + b"\r\n\r\n"

    def piece(text: str, *, more: bool) -> list[dict[str, object]]:
        return [{"jsonPath": "$.path", "stringValue": text, "willContinue": more}]

    end = b'data: {"candidates":[{"finishReason":"STOP"}]}\r\n\r\n'
    first = chunk(name="careful", willContinue=True)
    bad = [first, chunk(partialArgs=piece("PRI", more=True), willContinue=True)]
    attacked("Gemini", [*bad, chunk(partialArgs=piece("VATE", more=False)), end])
    attacked("Gemini", [*bad, chunk(partialArgs=piece("VATE", more=False), willContinue=True), chunk(), end])
    good = [first, chunk(partialArgs=piece("/work", more=True), willContinue=True)]
    out = attacked("Gemini", [*good, chunk(partialArgs=piece("space", more=False)), end])
    assert b"/work" in out and b"<cut>" not in out
    both = chunk(name="careful", args={"path": "PRIVATE"}, willContinue=True)
    attacked("Gemini", [both, chunk(partialArgs=piece("/workspace", more=False)), end])
    again = [{"jsonPath": "$['path']", "stringValue": "PRIVATE"}]
    attacked("Gemini", [first, chunk(partialArgs=piece("/workspace", more=False) + again), end])


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), cut_positions)
def test_no_bytes_make_it_fail_otherwise_than_the_plain_reader(data: bytes, cuts: list[int]) -> None:
    for form in MODEL_FORMATS:
        outcomes = []
        for judge in (Careful(), Judge()):
            try:
                outcomes.append(streamed(reader(form, judge), cut(data, cuts)))
            except FormatError:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]


def test_a_binary_stream_waits_and_ends_where_a_call_is_refused() -> None:
    """Replies of this API are not edited: a refused call ends them."""

    def told(kind: str, **payload: object) -> bytes:
        headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        return encoded(headers, json.dumps({"contentBlockIndex": 0, **payload}).encode())

    def stream(*pieces: str) -> list[bytes]:
        start = told("contentBlockStart", start={"toolUse": {"toolUseId": "t", "name": "careful"}})
        deltas = [told("contentBlockDelta", delta={"toolUse": {"input": piece}}) for piece in pieces]
        return [start, *deltas, told("contentBlockStop"), told("messageStop", stopReason="tool_use"), told("metadata")]

    good = stream('{"path":', '"/workspace"}')
    assert streamed(stream_reader(BedrockConverse().stream, Careful()), good) == b"".join(good)
    reader = stream_reader(BedrockConverse().stream, Careful())
    assert [reader.feed(event).send for event in good[:3]] == [b"", b"", b""]
    bad = stream_reader(BedrockConverse().stream, Careful())
    out = streamed(bad, stream('{"path":', '"PRIVATE"}'))
    assert b"PRIVATE" not in out and notice("careful") in out.replace(b"\\", b"").decode("utf-8", "replace")
    assert bad.refused


@pytest.mark.parametrize("arguments", [{"path": "PRIVATE"}, '{"path":"PRIVATE"}'])
def test_calls_that_come_whole_do_not_wait_and_are_judged_by_their_arguments(arguments: object) -> None:
    line = {"model": "m", "message": {"role": "assistant", "content": "", "tool_calls": []}, "done": False}
    for said in (arguments, {"path": "/workspace"}):
        line["message"]["tool_calls"].append({"function": {"name": "careful", "arguments": said}})  # type: ignore[index]
    out = stream_reader(OllamaChat().stream, Careful()).feed(json.dumps(line).encode() + b"\n").send
    assert b"PRIVATE" not in out and b"/workspace" in out and notice("careful") in out.decode().replace("\\", "")


def test_an_array_of_chunks_is_judged_as_its_events_are() -> None:
    def chunk(**call: object) -> bytes:
        return json.dumps({"candidates": [{"content": {"parts": [{"functionCall": call}]}}]}).encode()

    first = chunk(name="careful", willContinue=True)
    rest = chunk(partialArgs=[{"jsonPath": "$.path", "stringValue": "PRIVATE"}])
    reader = stream_reader(GeminiGenerateArray().stream, Careful())
    assert b"careful" not in reader.feed(b"[" + first + b",\r\n").send
    assert b"PRIVATE" not in streamed(reader, [rest, b"]"]) and reader.refused
