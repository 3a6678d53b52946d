"""Whatever an upstream sends, in every format: it is understood, or refused as a FormatError; and nothing crosses
unjudged. Of all tools only `good` may be called, so no other name may stand in the output where a client looks for one.
"""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.eventstream import encoded
from proxy.wire.layout import read_layout
from tests.support.chunks import cut, cut_positions
from tests.support.judging import Judge, streamed
from tests.support.spoken import FORMATS, GOOD, SECRET, Mcp, Spoken
from trajectory.errors import ClientError, FormatError

DEEP = 20_000
ODD: list[Any] = [
    None, True, 0, -1, 2**63, 10**400, 1e300, "", "evil", "good", "\ud83d", "PII_", [], {}, [[]], [None], {"": {}},
    {"name": "evil"}, [{"name": "evil", "type": "function_call", "function": {"name": "evil"}}],
]  # fmt: skip
NOISE = [
    b"\xff",
    b"\x00",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\n\n",
    b"data: ",
    b" ",
    b"e",
]


@st.composite
def damaged_value(draw: st.DrawFn, value: Any) -> Any:
    """`value` with another value somewhere in it, of any type."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from(ODD))
    if isinstance(value, list):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(damaged_value(value[place])), *value[place + 1 :]]
    key = draw(st.sampled_from(sorted(value)))
    return {**value, key: draw(damaged_value(value[key]))}


@st.composite
def damaged_json(draw: st.DrawFn, raw: bytes) -> bytes:
    """A text that may still be JSON: a value replaced, a key twice, deep nesting, bytes lost or added."""
    match draw(st.sampled_from(["value", "value", "twice", "deep", "bytes"])):
        case "value":
            try:
                return json.dumps(draw(damaged_value(json.loads(raw)))).encode()
            except ValueError:
                return raw
        case "twice":
            at = draw(st.sampled_from([i for i, c in enumerate(raw) if c == 0x7B] or [0]))
            key = draw(
                st.sampled_from(["name", "type", "choices", "tool_calls", "function", "content", "item", "step"])
            )
            return raw[: at + 1] + json.dumps({key: draw(st.sampled_from(ODD))})[1:-1].encode() + b"," + raw[at + 1 :]
        case "deep":
            return raw.replace(b":", b":" + b"[" * DEEP + b"]" * DEEP + b',"z":', 1)
        case _:
            return draw(damaged_bytes(raw))


@st.composite
def damaged_bytes(draw: st.DrawFn, raw: bytes) -> bytes:
    at = draw(st.integers(0, len(raw)))
    until = draw(st.sampled_from([at, at, at + 1, at + 7, len(raw)]))
    return raw[:at] + draw(st.sampled_from([b"", *NOISE])) + raw[until:]


@st.composite
def damaged_stream(draw: st.DrawFn, spoken: Spoken) -> list[bytes]:
    """The parts of a stream whose frames are damaged, doubled, lost or in another order."""
    frames = list(spoken.frames)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(frames) - 1))
        other = draw(st.integers(0, len(frames) - 1))
        match draw(st.sampled_from(["payload", "payload", "bytes", "again", "swap", "lose"])):
            case "payload":
                payload = spoken.framing.payload(frames[place]) if frames[place] in spoken.frames else b""
                if payload.startswith(b"{"):
                    frames[place] = spoken.framing.with_payload(frames[place], draw(damaged_json(payload)))
            case "bytes":
                frames[place] = draw(damaged_bytes(frames[place]))
            case "again":
                frames.insert(other, frames[place])
            case "swap":
                frames[place], frames[other] = frames[other], frames[place]
            case "lose":
                frames[place] = b""
    return cut(b"".join(frames), draw(cut_positions))


def let_out(spoken: Spoken, parts: list[bytes]) -> bytes:
    """All that a client would get. Only FormatError may end it before its time."""
    reader = spoken.reader()
    out = b""
    try:
        for part in parts:
            step = reader.feed(part)
            out += step.send + step.last
        step = reader.end()
        out += step.send + step.last
    except FormatError:
        pass
    if not isinstance(spoken, Mcp):
        reader.reply()
        reader.client_reply()
    return out


# by pytest's own limit: a nest of 20,000 brackets takes a tenth of a second, more where the machine is busy
bounded = settings(deadline=None)
each_format = pytest.mark.parametrize("spoken", FORMATS, ids=repr)


@each_format
def test_the_examples_hold_what_they_say(spoken: Spoken) -> None:
    out = let_out(spoken, list(spoken.frames))
    assert "evil" in spoken.calls(b"".join(spoken.frames))
    assert SECRET.encode() in b"".join(spoken.frames) or isinstance(spoken, Mcp)
    assert set(spoken.calls(out)) == {GOOD}
    assert SECRET.encode() not in out
    assert set(spoken.calls(spoken.read_whole(spoken.whole))) == {GOOD}


@each_format
@bounded
@given(data=st.data())
def test_no_damaged_stream_lets_a_call_through_unjudged(spoken: Spoken, data: st.DataObject) -> None:
    out = let_out(spoken, data.draw(damaged_stream(spoken)))
    assert all(name == GOOD for name in spoken.calls(out))


@each_format
@bounded
@given(data=st.data())
def test_no_damaged_reply_lets_a_call_through_unjudged(spoken: Spoken, data: st.DataObject) -> None:
    body = data.draw(damaged_json(spoken.whole))
    try:
        out = spoken.read_whole(body)
    except FormatError:
        return
    assert all(name == GOOD for name in spoken.calls(out))


@each_format
@bounded
@given(data=st.data())
def test_a_damaged_request_is_read_or_refused(spoken: Spoken, data: st.DataObject) -> None:
    body = data.draw(damaged_json(spoken.request))
    if isinstance(spoken, Mcp):
        return
    wire = spoken.wire
    try:
        layout = read_layout(body, wire.list_key)
        wire.read_request(layout, spoken.path)
        for item in layout.items:
            wire.read_message(item.section)
        wire.links(layout)
        wire.drop_tools(layout, frozenset({"evil"}))
        layout.assembled()
    except (FormatError, ClientError):
        return


@pytest.mark.parametrize("spoken", [one for one in FORMATS if not isinstance(one, Mcp)], ids=repr)
def test_a_stream_that_just_ends_passes_as_it_came_and_is_known_as_cut(spoken: Spoken) -> None:
    reader = spoken.reader(Judge())
    begun = b"".join(spoken.frames[:2])
    assert streamed(reader, [begun]) == begun
    assert (reader.ended, reader.failed, reader.reply().finish) == (False, False, None)


def many(spoken: Spoken) -> bytes:
    """An event that says nothing, as small as the format has it."""
    empty = {"openai.chat": b'{"choices":[]}', "gemini.generate": b"{}", "ollama.chat": b'{"message":{}}'}
    payload = empty.get(spoken.name, b'{"type":"ping"}')
    if isinstance(spoken, Mcp):
        payload = b'{"jsonrpc":"2.0","method":"n"}'
    match spoken.stream_type:
        case "application/json":
            return b"," + payload
        case "application/x-ndjson":
            return payload + b"\n"
        case "text/event-stream":
            return b"data: " + payload + b"\n\n"
        case _:
            return encoded({":event-type": "ping"}, b"{}")


@each_format
def test_tiny_events_without_number_take_no_memory(spoken: Spoken) -> None:
    """A million events in all, comments of the streams that have some included; each is let out at once."""
    reader = spoken.reader()
    reader.feed(spoken.frames[0])
    events = many(spoken) * 100
    tracemalloc.start()
    try:
        sent = sum(len((step := reader.feed(events)).send) + len(step.last) for _ in range(30))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent > 30 * len(events) - 1000
    assert held < 100_000
    if spoken.stream_type == "text/event-stream":
        comments = b":\n\n" * 1000
        assert sum(len(reader.feed(comments).send) for _ in range(170)) == 170 * len(comments)


@each_format
def test_an_event_without_end_is_refused_before_it_fills_the_memory(spoken: Spoken) -> None:
    reader = spoken.reader()
    frame = spoken.frames[1]
    begun = frame[: frame.find(b'"') + 1]
    with pytest.raises(FormatError):
        reader.feed(spoken.frames[0] + begun)
        for _ in range(40):
            reader.feed(b"x" * 1024 * 1024)
