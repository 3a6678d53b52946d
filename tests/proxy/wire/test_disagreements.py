"""Streams that say one thing to one reader and another to the next: nothing of a call passes that was not judged.

Clients read the same stream in different ways: by an event's name or its type, by a call's index or its id, by the
first telling of a call or its last. What only one of them would take for a call is judged, or ends the stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from policies.verdict import Refuse
from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.anthropic_messages_stream import MessagesStream
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import ReplyJudge, StreamReader
from proxy.wire.gemini_interactions import GeminiInteractions
from proxy.wire.gemini_interactions_stream import InteractionStream
from proxy.wire.gemini_stream import GeminiStream
from proxy.wire.holding import stream_reader
from proxy.wire.ollama_stream import OllamaStream
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_chat_stream import ChatStream
from proxy.wire.openai_responses_stream import ResponsesStream
from tests.support.judging import TOKEN, Judge, notice, streamed
from trajectory.errors import FormatError

PRIVATE = '{"path":"/etc/PRIVATE"}'
ALLOWED = '{"path":"/workspace"}'
Make = Callable[[ReplyJudge], StreamReader]


class Careful(Judge):
    """Of the tool `read_file` each call's arguments are judged; other calls pass by their names."""

    def __init__(self) -> None:
        super().__init__(refused=["banned"])
        self.reads_arguments = True

    def awaits_arguments(self, name: str) -> bool:
        return name == "read_file"

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        refused = super().call(name, call_id, arguments)
        if refused is None and name == "read_file" and arguments != ALLOWED:
            return Refuse("tool_arguments_refused", "tools", notice(name), name)
        return refused


def told(*events: object, named: bool = False) -> list[bytes]:
    return [_event(event, named=named) for event in events]


def _event(event: object, *, named: bool) -> bytes:
    kind = event.get("type") if isinstance(event, dict) else None
    head = f"event: {kind}\n" if named and kind else ""
    return f"{head}data: {json.dumps(event)}\n\n".encode()


def lets_out(make: Make, parts: list[bytes]) -> bytes:
    """What a client gets of the stream, up to where it fails."""
    reader = stream_reader(make, Careful())
    out = b""
    try:
        for part in parts:
            step = reader.feed(part)
            out += step.send + step.last
        out += reader.end().last
    except FormatError:
        pass
    return out


# --- OpenAI Responses ---


def response_call(name: str = "read_file", arguments: str = "", **more: object) -> dict[str, object]:
    return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": arguments} | more


def item(kind: str, call: dict[str, object], index: int = 0, **more: object) -> dict[str, object]:
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": call, **more}


def delta(text: str, **more: object) -> dict[str, object]:
    where: dict[str, object] = {"item_id": "fc_1", "output_index": 0}
    return {"type": "response.function_call_arguments.delta", **where, "delta": text, **more}


OTHER = response_call("other", id="fc_2", call_id="call_2")
DONE = item("done", response_call(arguments=ALLOWED))


@pytest.mark.parametrize(
    "events",
    [
        [item("added", response_call("banned", PRIVATE), response={})],
        [item("added", response_call()), delta(PRIVATE, response={}), DONE],
        [item("added", response_call()), delta(PRIVATE, item={"type": "message"}), DONE],
        [item("added", response_call()), item("added", response_call(arguments=PRIVATE)), DONE],
        [DONE, item("done", response_call(arguments=PRIVATE))],
        [item("added", response_call()), DONE, item("added", response_call(arguments=PRIVATE))],
        [item("added", response_call()), item("added", OTHER, 1), delta(PRIVATE, output_index=1), DONE],
    ],
    ids=["item beside a response", "piece beside a response", "piece beside an item", "added twice", "done twice",
         "added once more", "place of another"],
)  # fmt: skip
def test_a_call_told_in_two_ways_does_not_pass_unjudged(events: list[object]) -> None:
    assert b"PRIVATE" not in lets_out(ResponsesStream, told(*events))


def test_an_event_without_a_type_goes_by_its_name() -> None:
    typeless = {key: value for key, value in delta(PRIVATE).items() if key != "type"}
    piece = b"event: response.function_call_arguments.delta\n" + told(typeless)[0]
    assert b"PRIVATE" not in lets_out(ResponsesStream, [*told(item("added", response_call())), piece, *told(DONE)])


# --- OpenAI chat ---


def chunk(*calls: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": list(calls)}}]}


def begun(index: object, name: str, arguments: str = "") -> dict[str, object]:
    return {"index": index, "id": f"call_{name}", "function": {"name": name, "arguments": arguments}}


FINISHED = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize("index", [0.0, False, "0", -1, {}])
def test_an_index_that_is_none_ends_the_stream(index: object) -> None:
    """To a reader in JavaScript 0.0 is 0, so that the piece would belong to another call than here."""
    piece = {"index": index, "function": {"arguments": PRIVATE}}
    events = told(chunk(begun(0, "read_file")), chunk(begun(1, "other"), piece), FINISHED)
    assert b"PRIVATE" not in lets_out(ChatStream, events)


def test_a_piece_that_does_not_say_to_which_of_several_calls_it_belongs_ends_the_stream() -> None:
    events = told(chunk(begun(0, "other")), chunk(begun(1, "read_file")), chunk({"function": {"arguments": PRIVATE}}))
    with pytest.raises(FormatError, match="which"):
        streamed(stream_reader(ChatStream, Judge()), events)


def test_of_one_call_the_pieces_need_no_index() -> None:
    events = told(chunk(begun(0, "other")), chunk({"function": {"arguments": ALLOWED}}), FINISHED)
    reader = ChatStream(Judge())
    assert streamed(reader, events) == b"".join(events)
    assert [call.arguments for call in reader.reply().calls] == [ALLOWED]


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_call_that_says_its_arguments_twice_is_no_call(kind: str) -> None:
    call = {"index": 0, "id": "c", kind: {"name": "read_file", "arguments": ALLOWED, "input": PRIVATE}}
    assert b"PRIVATE" not in lets_out(ChatStream, told(chunk(call), FINISHED))
    whole = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    with pytest.raises(FormatError, match="twice"):
        OpenAIChat().read_reply(json.dumps(whole).encode(), Judge())


# --- Anthropic Messages ---


def block(index: int, name: str) -> dict[str, object]:
    call = {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}}
    return {"type": "content_block_start", "index": index, "content_block": call}


def piece(index: int, text: str) -> dict[str, object]:
    delta = {"type": "input_json_delta", "partial_json": text}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


@pytest.mark.parametrize(
    "events",
    [
        [block(1, "read_file"), block(0, "other"), piece(0, PRIVATE), stop(0), piece(1, ALLOWED), stop(1)],
        [block(0, "read_file"), block(0, "other"), piece(0, PRIVATE), stop(0)],
        [{**block(1, "x"), "content_block": {"type": "text", "text": ""}}, block(1, "other"), piece(1, PRIVATE)],
    ],
    ids=["out of order", "twice at one place", "behind a gap"],
)
def test_a_block_that_stands_elsewhere_than_it_says_ends_the_stream(events: list[object]) -> None:
    """SDKs append each block that begins, and give a delta to the one that stands at its index."""
    assert b"PRIVATE" not in lets_out(MessagesStream, told(*events, named=True))


# --- Gemini Interactions ---


def test_an_interaction_s_event_with_two_names_ends_the_stream() -> None:
    step = {"type": "function_call", "id": "c", "name": "read_file"}
    delta = {"type": "arguments_delta", "arguments": PRIVATE}
    begun = {"event_type": "step.start", "index": 0, "step": step}
    other = {"event_type": "step.progress", "index": 0, "delta": delta}
    events = [
        b"event: step.start\n" + told(begun)[0],
        b"event: step.delta\n" + told(other)[0],
        b"event: step.stop\n" + told({"event_type": "step.stop", "index": 0})[0],
    ]
    assert b"PRIVATE" not in lets_out(InteractionStream, events)


def test_a_call_within_a_text_ends_the_stream() -> None:
    call = {"type": "function_call", "id": "c", "name": "banned", "arguments": {"path": "PRIVATE"}}
    step = {"type": "model_output", "content": [call]}
    assert b"PRIVATE" not in lets_out(InteractionStream, told({"event_type": "step.start", "index": 0, "step": step}))
    with pytest.raises(FormatError, match="step"):
        GeminiInteractions().read_reply(json.dumps({"steps": [step]}).encode(), Judge())


# --- Ollama ---


def test_a_call_beside_an_error_is_judged() -> None:
    call = {"function": {"name": "banned", "arguments": {"path": "PRIVATE"}}}
    line = {"error": "x", "message": {"role": "assistant", "content": "", "tool_calls": [call]}}
    lines = [json.dumps(line).encode() + b"\n", json.dumps({**line, "error": None}).encode() + b"\n"]
    for place in range(2):
        out = lets_out(OllamaStream, lines[place:])
        assert b"PRIVATE" not in out and notice("banned").encode() in out.replace(b'\\"', b'"')


# --- lines ---


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
@pytest.mark.parametrize("make", [ChatStream, MessagesStream, ResponsesStream, GeminiStream, InteractionStream])
def test_a_text_that_some_readers_cut_into_events_ends_the_stream(make: Make, end: str) -> None:
    """Readers that split lines as Python's `str.splitlines` does would see an event of its own in a model's text."""
    text = f"so{end}{end} data: {PRIVATE}{end}{end}"
    frame = f"data: {json.dumps({'x': text}, ensure_ascii=False)}\n\n".encode()
    with pytest.raises(FormatError, match="line"):
        streamed(make(Judge()), [frame])


def test_a_text_with_such_line_ends_alone_passes() -> None:
    said = {"choices": [{"index": 0, "delta": {"content": "one\u2028two data: three"}}]}
    frame = f"data: {json.dumps(said, ensure_ascii=False)}\n\n".encode()
    assert streamed(ChatStream(Judge()), [frame]) == frame


def test_an_edit_writes_no_line_end_that_was_escaped() -> None:
    said = {"choices": [{"index": 0, "delta": {"content": f"a\u2028data: {TOKEN} \x85\u2029"}}]}
    out = streamed(ChatStream(Judge(values={TOKEN: "bob"})), [*told(said), b"data: [DONE]\n\n"])
    assert b"bob" in out and out.isascii()


# --- keys in another case, which readers in Go take for the ones in lower case ---

UPPER: list[tuple[Make, object]] = [
    (ChatStream, {"choices": [{"index": 0, "delta": {"Tool_Calls": [{"function": {"name": "banned"}}]}}]}),
    (ChatStream, {"choices": [{"index": 0, "delta": {"tool_calls": [{"id": "c", "Function": {"name": "banned"}}]}}]}),
    (ChatStream, {"CHOICES": [{"index": 0, "delta": {"tool_calls": [{"function": {"name": "banned"}}]}}]}),
    (ChatStream, {"choices": [{"index": 0, "delta": {"tool_call\u017f": [{"function": {"name": "banned"}}]}}]}),
    (
        MessagesStream,
        {"type": "content_block_start", "index": 0, "Content_Block": {"type": "tool_use", "name": "banned"}},
    ),
    (ResponsesStream, {"type": "response.output_item.added", "output_index": 0, "Item": response_call("banned")}),
    (ChatStream, {"x": "A" * 200_000, "choices" + " ": 1, "Choices": [{"delta": {"tool_calls": [{}]}}]}),
    (ResponsesStream, {"type": "response.completed", "response": {"Output": [response_call("banned")]}}),
]


@pytest.mark.parametrize(("make", "told_"), UPPER)
@pytest.mark.parametrize("is_ascii", [False, True])
def test_no_key_in_another_case_hides_a_call(make: Make, told_: object, *, is_ascii: bool) -> None:
    frame = b"data: " + json.dumps(told_, ensure_ascii=is_ascii).encode() + b"\n\n"
    with pytest.raises(FormatError, match="lower case"):
        make(Judge()).feed(frame)


def test_arguments_have_whatever_keys_they_like() -> None:
    use = {"type": "tool_use", "id": "c", "name": "free", "input": {"Name": 1, "Input": {"Content": "x"}}}
    body = json.dumps({"type": "message", "role": "assistant", "content": [use], "Extra": {"Name": 2}}).encode()
    assert AnthropicMessages().read_reply(body, Judge()).client == body
