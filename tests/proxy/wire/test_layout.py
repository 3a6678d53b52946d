from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import layout as module
from proxy.wire.layout import Layout, Section, read_layout
from tests.support.json_texts import keys, messages, spelled, values
from trajectory.errors import FormatError

fields = st.dictionaries(keys.filter(lambda k: k != "messages"), values, max_size=3)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A request body: fields before and after the list, in any spelling."""
    rest = draw(fields)
    conversation = draw(st.lists(st.one_of(messages, messages, values), max_size=4))
    pairs = [*rest.items()]
    pairs.insert(draw(st.integers(0, len(pairs))), ("messages", conversation))
    inside = ",".join(f"{spelled(draw, k)}{draw(_SPACE)}:{draw(_SPACE)}{spelled(draw, v)}" for k, v in pairs)
    return f"{draw(_SPACE)}{{{inside}{draw(_SPACE)}}}{draw(_SPACE)}".encode()


_SPACE = st.text(" \t\r\n", max_size=2)


def sent(layout: Layout) -> bytes:
    return b"".join(span.data for span in layout.assembled())


def understood(layout: Layout) -> tuple[Any, ...]:
    """Everything that judging, masking and recording take from a layout."""
    return (
        {k: (p.start, p.end, p.section.raw, p.section.canonical, p.section.texts) for k, p in layout.fields.items()},
        list(layout.fields),
        [(p.start, p.end, p.section.raw, p.section.canonical, p.section.texts) for p in layout.items],
        layout.digest("openai", "/v1"),
        sent(layout),
    )


def outcome(body: bytes, previous: Layout | None = None) -> Any:
    try:
        return understood(read_layout(body, "messages", previous))
    except FormatError:
        return "refused"


@given(bodies())
def test_an_untouched_body_is_sent_byte_for_byte(body: bytes) -> None:
    layout = read_layout(body, "messages")
    assert sent(layout) == body
    for key, placed in layout.fields.items():
        assert json.loads(body[placed.start : placed.end]) == json.loads(body)[key]


@given(st.data(), bodies(), bodies())
def test_reading_against_a_previous_body_is_reading_alone(data: st.DataObject, before: bytes, other: bytes) -> None:
    """The new body begins like the previous one, up to any byte, and goes on in any way."""
    previous = read_layout(before, "messages")
    cut = data.draw(st.integers(0, len(before)))
    start = data.draw(st.integers(0, len(other)))
    body = before[:cut] + data.draw(st.sampled_from([other[start:], before[start:], b"", b',"messages":[]}', b"]}"]))
    assert outcome(body, previous) == outcome(body)


@given(st.data(), bodies(), st.lists(messages, min_size=1, max_size=3), fields)
def test_a_conversation_that_grows_reads_as_it_does_alone_at_each_turn(
    data: st.DataObject, before: bytes, new: list[Any], tail: dict[str, Any]
) -> None:
    previous = read_layout(before, "messages")
    draw = data.draw(st.composite(lambda draw: lambda v: spelled(draw, v))())
    for message in new:
        end = previous.items[-1].end if previous.items else previous.fields["messages"].start + 1
        comma = "," if previous.items else ""
        rest = "".join(f",{draw(k)}:{draw(v)}" for k, v in tail.items() if k not in previous.fields)
        body = previous.body[:end] + f"{comma} {draw(message)}\n]{rest}}}".encode()
        assert outcome(body, previous) == outcome(body)
        found = outcome(body)
        if found == "refused":
            return
        previous = read_layout(body, "messages", previous)


@pytest.mark.parametrize(
    ("before", "body"),
    [
        (b'{"messages":[1],"m":0}', b'{"messages":[1.5],"m":0}'),
        (b'{"messages":[1],"m":0}', b'{"messages":[12],"m":0}'),
        (b'{"messages":[-1]}', b'{"messages":[-1e5]}'),
        (b'{"m":0,"messages":[{"a":1}]}', b'{"m":0,"messages":[{"a":1}],"m":1}'),
        (b'{"m":0,"messages":[{"a":1}]}', b'{"m":0,"messages":[{"a":1}],"\\u006d":1}'),
        (b'{"messages":[{"a":1}]}', b'{"messages":[{"a":1}],"messages":[{"a":2}]}'),
        (b'{"messages":[{"a":1}]}', b'{"messages":[{"a":1}],"\\u006dessages":[{"a":2}]}'),
        (b'{"messages":[{"a":1}]}', b'{"messages":[{"a":1}]}{"messages":[]}'),
        (b'{"messages":[{"a":1}]}', b'{"messages":[{"a":1} {"a":2}]}'),
        (b'{"messages":[{"a":1}]}', b'{"messages":[{"a":1},]}'),
        (b'{"messages":[{"a":1}]}', b'{"messages":[{"a":1}}'),
        (b'{"messages":["a"]}', b'{"messages":["a"b]}'),
        (b'{"messages":[{"a":1}]}', b'{ "messages":[{"a":1}]}'),
        (b'{"messages":[],"x":[{"messages":[1]}]}', b'{"messages":[],"x":[{"messages":[1,2]}]}'),
        (
            b'{"x":{"messages":[1,2]},"messages":[{"a":1}]}',
            b'{"x":{"messages":[1,2],"messages":3},"messages":[{"a":1}]}',
        ),
        (b'{"messages":[{"a":1},{"b":2}]}', b'{"messages":[{"a":1}]}'),
        (b'{"messages":[true]}', b'{"messages":[true1]}'),
    ],
)
def test_no_trick_at_the_seam_makes_the_two_readings_differ(before: bytes, body: bytes) -> None:
    assert outcome(body, read_layout(before, "messages")) == outcome(body)


@given(st.data(), st.dictionaries(keys, values, max_size=4))
def test_spelling_does_not_change_the_digest_and_a_value_does(data: st.DataObject, value: dict[str, Any]) -> None:
    value = {**value, "messages": [{"role": "user", "content": "hi"}]}
    draw = data.draw(st.composite(lambda draw: lambda v: spelled(draw, v))())
    one, other = (read_layout(draw(value).encode(), "messages") for _ in range(2))
    assert one.digest("x") == other.digest("x") != one.digest("y")
    changed = {**value, "messages": [{"role": "user", "content": "hi!"}]}
    assert read_layout(json.dumps(changed).encode(), "messages").digest("x") != one.digest("x")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b'{"messages":[]',
        b'{"messages":[]} x', b'{"messages":[{"a":1,"a":1}]}', b'{"messages":[[{"a":{"b":1,"b":2}}]]}',
        b'{"messages":[],"x":{"a":1,"a":1}}', b'{"messages":["\xff"]}', b'{"messages":[],"a":1,"a":1}',
        b'{"messages":["\\ud800"]}',
    ],
)  # fmt: skip
def test_a_body_that_two_readers_might_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        read_layout(body, "messages")


@given(st.data(), bodies())
def test_dropped_fields_leave_a_body_that_lacks_just_them(data: st.DataObject, body: bytes) -> None:
    layout = read_layout(body, "messages")
    others = sorted(layout.fields.keys() - {"messages"})
    dropped = data.draw(st.sets(st.sampled_from(others))) if others else set()
    layout.dropped |= dropped
    if data.draw(st.booleans()):
        layout.put("brand new", [1])
    left = json.loads(sent(layout))
    whole = json.loads(body)
    assert list(left) == [k for k in whole if k not in dropped] + ["brand new"] * bool(layout.added)
    assert {k: v for k, v in left.items() if k != "brand new"} == {k: v for k, v in whole.items() if k not in dropped}


def test_a_field_that_is_put_keeps_its_place_and_the_rest_its_bytes() -> None:
    body = b'{ "model" : "a", "messages":[ {"role":"user"} ] , "seed": 7 }'
    layout = read_layout(body, "messages")
    layout.put("model", "b")
    layout.put("temperature", 0.5)
    assert sent(layout) == b'{ "model" : "b", "messages":[ {"role":"user"} ] , "seed": 7 ,"temperature":0.5}'
    layout.put("model", "c")
    assert layout.fields["model"].section.raw == b'"a"'


def test_what_is_sent_in_place_of_a_field_is_not_taken_for_what_the_client_sent() -> None:
    body = b'{"tools":["long enough"],"model":"a","messages":[{"role":"user"}],"z":1}'
    first = read_layout(body, "messages")
    original = first.fields["tools"].section
    first.replace("tools", b"[]")
    first.put("z", 2)
    second = read_layout(body, "messages", first)
    assert second.fields["tools"].section is original
    assert sent(second) == body


def test_work_grows_with_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = Section.of.__func__

    def counted(cls: type[Section], raw: bytes, *, is_free: bool = False) -> Section:
        read.append(len(raw))
        return plain(cls, raw, is_free=is_free)

    monkeypatch.setattr(module.Section, "of", classmethod(counted))
    history = [{"role": "user", "content": "x" * 1000} for _ in range(100)]
    head = {"model": "m", "tools": [{"name": "t" * 500}]}
    before = read_layout(json.dumps({**head, "messages": history, "stream": True}).encode(), "messages")
    read.clear()
    new = {"role": "assistant", "content": "y" * 50}
    after = read_layout(json.dumps({**head, "messages": [*history, new], "stream": True}).encode(), "messages", before)
    assert after.kept == 100
    assert sum(read) < 100
    assert [a.section is b.section for a, b in zip(after.items, before.items, strict=False)] == [True] * 100
    assert {s.digest for s in before.assembled()} > {s.digest for s in after.assembled()[1:100]}


@given(st.data(), st.lists(messages, min_size=1, max_size=3), fields)
def test_only_new_values_are_left_to_be_searched(
    data: st.DataObject, conversation: list[Any], rest: dict[str, Any]
) -> None:
    spelling = st.composite(lambda draw: spelled(draw, {"messages": conversation, **rest}))
    body = data.draw(spelling()).encode()
    first = read_layout(body, "messages")
    for section in first.unsearched():
        section.searched = True
    assert read_layout(body, "messages", first).unsearched() == []
