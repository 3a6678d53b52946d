from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from proxy.wire.mcp import read_message
from proxy.wire.mcp_reply import McpReply
from tests.support.chunks import at_every_cut, cut, cut_positions
from trajectory.errors import FormatError

REQUEST = read_message(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
PROGRESS = b'event: message\r\nid: e-1\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\r\n\r\n'
LISTING = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"x"}, {"name":"b"}],"nextCursor":"n"}}'
FILTERED = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}, {"name":"b"}],"nextCursor":"n"}}'
STREAM = b": ping\n\n" + PROGRESS + b"event: message\ndata: " + LISTING + b"\n\n"
ASKING = b'data: {"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"tools":[{"name":"x"}]}}\n\n'


def reader(*refused: str, request: Any = REQUEST) -> McpReply:
    return McpReply(request, lambda names: frozenset(names) & frozenset(refused))


def read(one: McpReply, parts: list[bytes]) -> tuple[bytes, bytes]:
    steps = [one.feed(part) for part in parts]
    steps.append(one.end())
    return b"".join(s.send for s in steps), b"".join(s.last for s in steps)


def test_what_no_rule_concerns_is_passed_byte_for_byte_at_every_cut() -> None:
    for parts in at_every_cut(STREAM):
        one = reader()
        sent, last = read(one, parts)
        assert sent + last == STREAM
        assert last.startswith(b"event: message\ndata: " + LISTING)
        assert not one.edited
        assert (one.is_finished, one.latest_event) == (True, "e-1")


@given(cut_positions)
def test_a_refused_tool_is_taken_out_of_an_event_however_it_is_cut(cuts: list[int]) -> None:
    one = reader("x")
    sent, last = read(one, cut(STREAM, cuts))
    assert sent + last == STREAM.replace(LISTING, FILTERED)
    assert one.edited
    assert [tool["name"] for tool in one.tools] == ["a", "x", "b"]


def test_a_whole_reply_is_filtered_like_an_event() -> None:
    assert reader("x").whole(LISTING) == FILTERED
    assert reader().whole(LISTING) is LISTING
    assert reader().whole(b"") == b""


@pytest.mark.parametrize("space", [b"  ", b"\t", b" \n"])
def test_white_space_before_a_message_hides_no_tool(space: bytes) -> None:
    assert reader("x").whole(space + LISTING) == space + FILTERED
    if b"\n" not in space:
        assert reader("x").feed(b"data:" + space + ASKING.removeprefix(b"data: ")).send.find(b'"x"') == -1


def test_the_event_that_answers_waits_and_all_others_flow() -> None:
    one = reader()
    assert one.feed(PROGRESS).send == PROGRESS
    assert one.feed(ASKING).send == ASKING
    assert not one.is_finished
    other = b'data: {"jsonrpc":"2.0","id":2,"result":{}}\n\n'
    assert one.feed(other).send == other
    answer = b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
    assert one.feed(answer + PROGRESS).last == answer + PROGRESS
    assert one.is_finished


def test_a_stream_that_answers_no_request_holds_nothing() -> None:
    for request in (None, read_message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')):
        one = reader("x", request=request)
        assert one.is_finished
        sent, last = read(one, [STREAM])
        assert (sent, last) == (STREAM.replace(LISTING, FILTERED), b"")


def test_a_resumed_stream_ends_with_the_answer_that_it_brings() -> None:
    one = McpReply(None, lambda _: frozenset(), resumes=True)
    assert one.feed(PROGRESS).send == PROGRESS
    assert one.feed(b"data: " + LISTING + b"\n\n").last == b"data: " + LISTING + b"\n\n"


def test_tools_that_a_server_offers_for_sampling_are_filtered() -> None:
    sent, _ = read(reader("x"), [ASKING])
    assert json.loads(sent[6:])["params"] == {"tools": []}


def test_an_event_of_several_lines_is_judged_as_one_message() -> None:
    lines = json.dumps(json.loads(LISTING), indent=1).encode().split(b"\n")
    frame = b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    sent, last = read(reader("x"), [frame])
    assert sent == b""
    assert json.loads(last.removeprefix(b"data: ")) == json.loads(FILTERED)


def test_the_last_event_is_judged_without_its_blank_line() -> None:
    _, last = read(reader("x"), [b"data: " + LISTING])
    assert last == b"data: " + FILTERED


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        b"[" + LISTING + b"]",
        b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"result":{"tools":[{"name":"x"}]}}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"method":"x"}',
        b"/messages?session=1",
    ],
)
def test_an_event_that_cannot_be_judged_lets_nothing_out(data: bytes) -> None:
    one = reader()
    with pytest.raises(FormatError):
        one.feed(PROGRESS + b"data: " + data + b"\n\n")
