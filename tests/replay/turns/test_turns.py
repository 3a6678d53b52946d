"""What the engine's loop takes over of a model's turn, and how it answers its calls, in each wire format."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from replay.loop import ClosedLoop
from replay.turns.choose import TURNS
from replay.turns.contract import Answered
from replay.world.tape import Recording, Tape
from tests.support.providers import SAYS, Turn
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError

REQUESTS: dict[str, dict[str, Any]] = {
    "openai.chat": {"messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": True}},
    "openai.responses": {"input": "x", "stream_options": {}},
    "anthropic.messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5},
    "gemini.generate": {"contents": {"role": "user", "parts": [{"text": "x"}]}},
}


def plain(raw: Any) -> Any:
    return json.loads(msgspec.json.encode(raw))


@pytest.mark.parametrize("wire", TURNS)
async def test_loop_sends_the_models_own_turn_back_untouched_and_its_results_behind_it(wire: str) -> None:
    script = [Turn("I look.", (("look", {"id": 1}), ("look", {"id": 2}))), Turn("Done.")]
    sent: list[dict[str, Any]] = []
    own: list[Any] = []

    async def ask(body: bytes) -> tuple[int, bytes]:
        sent.append(json.loads(body))
        reply, turn = SAYS[wire](script[len(sent) - 1], len(sent))
        own.append(turn)
        return 200, json.dumps(reply).encode()

    turns = TURNS[wire]
    tape = Tape((Recording("look", '{"id": 1}', "in transit"),))
    streams = {} if wire == "gemini.generate" else {"stream": True}
    loop = ClosedLoop(ask, json.dumps({**REQUESTS[wire], **streams}), tape.reader(), turns)
    await loop.run()
    assert (loop.ended, loop.answer) == ("answered", "Done.")
    assert [one.fidelity == "missing" for one in loop.served] == [False, True]
    assert not {"stream", "stream_options"} & sent[0].keys()
    conversation = sent[1][turns.list_key]
    turn = own[0] if isinstance(own[0], list) else [own[0]]
    assert conversation[1 : 1 + len(turn)] == turn, "reasoning, signatures and ids as they came"
    assert "in transit" in json.dumps(conversation[1 + len(turn) :])
    assert "no result of look" in json.dumps(conversation[1 + len(turn) :])


def test_results_are_told_as_each_format_tells_them() -> None:
    failed = Answered(ToolCall("c1", "look", "{}"), "gone", is_error=True, kind="function_call")
    told = {wire: [plain(one) for one in turns.results([failed])] for wire, turns in TURNS.items()}
    assert told == {
        "openai.chat": [{"role": "tool", "tool_call_id": "c1", "content": "gone"}],
        "openai.responses": [{"type": "function_call_output", "call_id": "c1", "output": "gone"}],
        "anthropic.messages": [
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "gone", "is_error": True}],
            }
        ],
        "gemini.generate": [
            {
                "role": "user",
                "parts": [{"functionResponse": {"id": "c1", "name": "look", "response": {"error": "gone"}}}],
            }
        ],
    }


def test_freeform_call_of_responses_is_answered_in_its_own_kind() -> None:
    output = [{"type": "custom_tool_call", "call_id": "c1", "name": "sh", "input": "ls"}]
    turns = TURNS["openai.responses"]
    turn = turns.turn(json.dumps({"output": output, "status": "completed"}).encode())
    (result,) = turns.results([Answered(turn.calls[0], "x", kind=turn.kinds[0])])
    assert plain(result) == {"type": "custom_tool_call_output", "call_id": "c1", "output": "x"}


def test_gemini_call_without_an_id_is_answered_without_one() -> None:
    (result,) = TURNS["gemini.generate"].results([Answered(ToolCall("", "look", "{}"), "x")])
    assert plain(result)["parts"][0]["functionResponse"] == {"name": "look", "response": {"output": "x"}}


def test_stream_of_gemini_is_asked_for_whole() -> None:
    path = TURNS["gemini.generate"].path
    assert path("/v1beta/models/g:streamGenerateContent?alt=sse&key=k") == "/v1beta/models/g:generateContent?key=k"
    assert path("/v1beta/models/g:streamGenerateContent") == "/v1beta/models/g:generateContent"
    assert path("/v1beta/models/g:generateContent") == "/v1beta/models/g:generateContent"


async def test_paused_turn_is_sent_back_and_not_taken_for_the_answer() -> None:
    paused = {"type": "message", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}]}
    replies = [{**paused, "stop_reason": "pause_turn"}, {**paused, "stop_reason": "end_turn"}]
    sent: list[Any] = []

    async def ask(body: bytes) -> tuple[int, bytes]:
        sent.append(json.loads(body))
        return 200, json.dumps(replies[len(sent) - 1]).encode()

    request = json.dumps(REQUESTS["anthropic.messages"])
    loop = ClosedLoop(ask, request, Tape(()).reader(), TURNS["anthropic.messages"])
    await loop.run()
    assert (loop.steps, loop.ended) == (2, "answered")
    assert sent[1]["messages"][1] == {"role": "assistant", "content": [{"type": "text", "text": "a"}]}


@pytest.mark.parametrize("wire", TURNS)
def test_what_is_no_reply_is_an_error(wire: str) -> None:
    with pytest.raises((FormatError, msgspec.DecodeError)):
        TURNS[wire].turn(b"<html>")
    if wire != "openai.chat":
        with pytest.raises(FormatError):
            TURNS[wire].turn(b'{"error": {"message": "no"}}')
