"""Tool calls of streams that clients read in different ways: what one of them reads may pass, or nobody reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.wire.holding import stream_reader
from proxy.wire.openai_chat_stream import ChatStream
from tests.support import openai_sdk
from tests.support.chat_stream import DONE, WITHOUT_INDEX, call, calling, chunk, read
from tests.support.driving import Driven, asking, hall, rules
from tests.support.judging import Judge, Waiting, streamed
from tests.support.spoken import GOOD, OnlyGood
from trajectory.errors import FormatError

END = chunk({}, "tool_calls") + DONE
REPEATED = calling(call(0, GOOD, '{"x":', "c0")) + calling(call(0, GOOD, "1}", "c0")) + END
UNDER_ONE_INDEX = calling(call(0, GOOD, '{"x":1}', "c0")) + calling(call(0, GOOD, '{"y":2}', "c1")) + END


def names_read(stream: bytes) -> set[str]:
    """By clients that take each name for itself, and by those that join what stands under one index or under none."""
    joined: dict[int, str] = {}
    found: set[str] = set()
    for piece in pieces(stream):
        name = piece["function"].get("name") or ""
        index = piece.get("index") or 0
        joined[index] = joined.get(index, "") + name
        found |= {name, joined[index]} - {""}
    return found


def pieces(stream: bytes) -> list[dict[str, Any]]:
    frames = [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
    return [p for frame in frames for c in frame["choices"] for p in c["delta"].get("tool_calls") or ()]


@pytest.mark.parametrize("stream", [REPEATED, UNDER_ONE_INDEX, WITHOUT_INDEX], ids=["name", "index", "no index"])
def test_where_whatever_may_be_read_passes_no_byte_changes(stream: bytes) -> None:
    out, _, _, reader = read(stream)
    assert out == stream and not reader.edited


def test_a_name_that_is_repeated_is_told_once_where_the_sdk_would_join_it_to_a_forbidden_one() -> None:
    judge = OnlyGood()
    out, reply, shown, reader = read(REPEATED, judge)
    (made,) = openai_sdk.accumulated(out).choices[0].message.tool_calls
    assert (made.function.name, made.function.arguments) == (GOOD, '{"x":1}')
    assert [(c.name, c.arguments) for c in shown.calls] == [(GOOD, '{"x":1}')] and shown.calls == reply.calls
    assert judge.asked == [(GOOD, "c0")] and not reader.refused and reader.edited


def test_a_name_that_comes_three_times_is_joined_only_as_far_as_it_passes() -> None:
    stream = b"".join(calling(call(0, "a", text, "c0")) for text in ('{"x"', ":", "1}")) + END
    assert names_read(read(stream, Judge(["aaa"]))[0]) == {"a", "aa"}
    assert names_read(read(stream, Judge(["aa"]))[0]) == {"a"}


def test_a_name_without_end_is_told_no_more() -> None:
    stream = b"".join(calling(call(0, "a" * 1000, "", "c0")) for _ in range(9)) + END
    assert max(map(len, names_read(read(stream)[0]))) == 4000


def test_the_older_function_call_repeats_its_name_no_more_than_others() -> None:
    told = chunk({"function_call": {"name": GOOD, "arguments": "{"}}) + chunk(
        {"function_call": {"arguments": "}", "name": GOOD}}
    )
    out, _, shown, _ = read(told + chunk({}, "function_call") + DONE, OnlyGood())
    assert out.count(GOOD.encode()) == 1 and [(c.name, c.arguments) for c in shown.calls] == [(GOOD, "{}")]


def test_no_verdict_is_recorded_of_what_nobody_reads() -> None:
    driven = Driven(hall(*rules(allowed=[GOOD])))
    driven.ask(asking(stream=True))
    assert names_read(driven.flow(REPEATED)) == {GOOD}
    assert driven.attempt.verdicts == () and driven.attempt.end == "complete"


@pytest.mark.parametrize("in_one_delta", [False, True])
def test_whole_calls_under_one_index_are_given_one_each(in_one_delta: bool) -> None:
    calls = call(0, GOOD, '{"x":1}', "c0"), call(0, "evil", "{}", "c1"), call(0, GOOD, '{"y":2}', "c2")
    stream = (calling(*calls) if in_one_delta else b"".join(map(calling, calls))) + END
    out, reply, shown, _ = read(stream, OnlyGood())
    made = openai_sdk.accumulated(out).choices[0].message.tool_calls
    assert [(c.id, c.function.name, c.function.arguments) for c in made] == [
        ("c0", GOOD, '{"x":1}'), ("c2", GOOD, '{"y":2}'),
    ]  # fmt: skip
    assert [c.name for c in reply.calls] == [GOOD, "evil", GOOD] and [c.id for c in shown.calls] == ["c0", "c2"]


def test_calls_without_an_index_are_given_one_where_they_would_be_joined() -> None:
    out, _, shown, _ = read(WITHOUT_INDEX, Judge(["ab", "ac"]))
    assert names_read(out) == {"a", "b", "c"} and [c.name for c in shown.calls] == ["a", "b", "c"]


def test_a_piece_of_a_call_that_another_has_followed_ends_the_stream() -> None:
    """To a client that goes by ids, its arguments would grow after they were judged."""
    late = calling(call(0, None, "more", "c0"))
    with pytest.raises(FormatError, match="after"):
        read(UNDER_ONE_INDEX[: -len(END)] + late + END)


def test_arguments_under_another_id_are_no_call_of_their_own_before_they_are_judged() -> None:
    """One call by its index, whose arguments pass; by its id a second one, whose arguments nobody has judged."""
    stream = (
        calling(call(0, "a", '{"q":', "c0"))
        + calling(call(0, "a", '{"path":"PRIVATE"}', "c1"))
        + calling(call(0, None, "}"))
        + END
    )
    waiting = Waiting()
    out = streamed(stream_reader(ChatStream, waiting), [stream])
    assert waiting.arguments == ['{"q":{"path":"PRIVATE"}}']
    assert [piece["function"].get("name") for piece in pieces(out)] == ["a", None, None]


def test_calls_whose_arguments_are_judged_are_not_joined() -> None:
    waiting = Waiting()
    out = streamed(stream_reader(ChatStream, waiting), [UNDER_ONE_INDEX])
    assert waiting.arguments == ['{"x":1}', '{"y":2}']
    assert [piece["index"] for piece in pieces(out)] == [0, 1]


@pytest.mark.parametrize(
    "calls",
    [
        [call(0, "careful", "", "c0"), call(1, "free", '{"path":"PRIVATE"}', "c0")],
        [call(0, "free", "", "c0"), call(1, "careful", "", "c0"), call(0, None, '{"path":"PRIVATE"}')],
        [call(0, "free", "", "c0"), call(1, "careful", "", "c1"), call(0, None, '{"path":"PRIVATE"}')],
        [call(0, "free", "", "c0"), call(1, "careful", "", "c1"), call(0, None, '{"path":"PRIVATE"}', "c1")],
        [call(0, "free", "", "c0"), call(0, "careful", "", "c1"), call(0, None, '{"path":"PRIVATE"}', "c1")],
        [call(None, "careful", "", "c0"), call(0, "free", '{"path":"PRIVATE"}', "c0")],
    ],
)
def test_no_client_takes_the_arguments_of_one_call_for_those_of_a_judged_one(calls: list[Any]) -> None:
    """Some go by ids, some add whatever comes to the call that began last."""

    class Careful(OnlyGood):
        reads_arguments = True

        def awaits_arguments(self, name: str) -> bool:
            return name == "careful"

        def call(self, name: str, call_id: str, arguments: Any) -> None:
            return None  # this tool may be called without its argument

        def passes(self, name: str) -> bool:
            return name == "free"

    reader, out = stream_reader(ChatStream, Careful()), b""
    with pytest.raises(FormatError):
        for one in [*map(calling, calls), END]:
            out += reader.feed(one).send
    assert b"PRIVATE" not in out


def test_an_id_of_another_call_is_taken_from_a_piece_that_is_judged() -> None:
    """Servers that make up an id for each piece: of a call that is judged, one reading is left."""
    stream = calling(call(0, "a", '{"x":', "c0")) + calling(call(0, None, "1}", "c9")) + END
    assert read(stream)[0] == stream
    out = streamed(stream_reader(ChatStream, Waiting()), [stream])
    assert [piece.get("id") for piece in pieces(out)] == ["c0", None]
    assert "".join(piece["function"]["arguments"] for piece in pieces(out)) == '{"x":1}'


told = st.builds(
    call,
    st.sampled_from([0, 0, 1, None]),
    st.sampled_from([GOOD, GOOD, "evil", "", None]),
    st.sampled_from(["{}", "{", "}", "", None]),
    st.sampled_from(["c0", "c1", None]),
)


@given(st.lists(st.lists(told, min_size=1, max_size=3), max_size=5), st.booleans())
@example([[call(1, GOOD, "{}", "c0"), call(None, GOOD, "{}", "c0")]], False)
def test_no_reading_of_any_stream_has_a_name_that_may_not_be_called(deltas: list[list[Any]], ends: bool) -> None:
    reader = ChatStream(OnlyGood())
    out = b""
    try:
        for part in (*(calling(*delta) for delta in deltas), *([END] if ends else [])):
            step = reader.feed(part)
            out += step.send + step.last
        out += reader.end().last
    except FormatError:
        pass
    assert names_read(out) <= {GOOD}
