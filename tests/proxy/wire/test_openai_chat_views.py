from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.openai_chat import OpenAIChat
from tests.support.judging import notice
from tests.support.strict import call, say
from tests.support.strict_chat import StrictChat
from tests.support.talking import Talk

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def talk() -> Talk:
    made = Talk(OpenAIChat(), StrictChat())
    made.user("Clean up.")
    return made


def messages(talk: Talk) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(talk.sent[-1])["messages"]
    return listed


@STREAMED
def test_a_refused_call_is_put_back_in_its_place_with_the_notice_as_its_result(stream: bool) -> None:
    chat = talk()
    chat.results(chat.turn(say("Now."), call("ok", a=1), call("bad", b=2), call("ok", c=3), stream=stream))
    assert notice("bad") in chat.history[1]["content"]
    chat.turn(say("Done."), stream=stream)
    assistant, refused, *others = messages(chat)[1:]
    assert assistant["content"] == "Now."
    assert [c["function"] for c in assistant["tool_calls"]] == [
        {"name": "ok", "arguments": '{"a": 1}'},
        {"name": "bad", "arguments": '{"b": 2}'},
        {"name": "ok", "arguments": '{"c": 3}'},
    ]
    assert refused == {"role": "tool", "tool_call_id": "call_0002", "content": notice("bad")}
    assert [m["tool_call_id"] for m in others] == ["call_0001", "call_0003"]


@STREAMED
def test_where_all_calls_were_refused_the_user_goes_on_behind_their_results(stream: bool) -> None:
    chat = talk()
    chat.turn(call("bad", a=1), call("bad", b=2), stream=stream)
    chat.user("Why not?")
    chat.turn(say("Policy."), stream=stream)
    assert [m["role"] for m in messages(chat)] == ["user", "assistant", "tool", "tool", "user"]
    assert messages(chat)[1]["content"] is None


@STREAMED
def test_what_was_put_back_is_the_same_bytes_in_every_later_request(stream: bool) -> None:
    chat = talk()
    for _ in range(4):
        got = chat.turn(say("So."), call("bad", a=1), call("ok"), stream=stream)
        chat.results(got)
        chat.user("Go on.")
    chat.turn(say("Done."), stream=stream)
    for before, after in zip(chat.sent, chat.sent[1:], strict=False):
        assert after.startswith(before[: before.rindex(b"]")])


def test_an_edited_last_message_goes_out_behind_the_same_results() -> None:
    chat = talk()
    chat.turn(call("bad"))
    chat.user("Why?")
    chat.turn(say("Policy."))
    chat.history[2:] = [StrictChat().user("Do it otherwise.")]
    chat.turn(say("Well."))
    assert [m["role"] for m in messages(chat)] == ["user", "assistant", "tool", "user"]
    assert messages(chat)[-1]["content"] == "Do it otherwise."


def test_a_custom_call_is_put_back_as_one() -> None:
    chat = talk()
    raw = {"id": "call_1", "type": "custom", "custom": {"name": "bad", "input": "rm -rf /"}}
    chat.pass_on(chat.upstream.request(chat.history, streamed=False))
    chat.history += chat.upstream.got(
        chat.answered([{"role": "assistant", "content": None, "tool_calls": [raw]}], stream=False), streamed=False
    )
    chat.user("And?")
    chat.turn(say("No."))
    assert messages(chat)[1]["tool_calls"] == [raw]


def test_text_in_several_parts_keeps_what_is_no_notice() -> None:
    chat = talk()
    chat.turn(say("So."), call("bad"))
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    chat.history[1]["content"] = [thought, {"type": "text", "text": notice("bad")}]
    chat.user("And?")
    chat.turn(say("No."))
    assert messages(chat)[1]["content"] == [thought]


@pytest.mark.parametrize("change", ["text", "calls", "role", "place", "none behind", "said before"])
def test_a_turn_that_is_not_there_as_the_client_got_it_goes_out_as_it_came(change: str) -> None:
    chat = talk()
    chat.results(chat.turn(call("ok"), call("bad")))
    match change:
        case "text":
            chat.history[1]["content"] = chat.history[1]["content"].upper()
        case "calls":
            chat.history[1]["tool_calls"][0]["id"] = chat.history[2]["tool_call_id"] = "call_9"
        case "role":
            chat.history[1]["role"] = "user"
        case "place":
            chat.history.insert(0, {"role": "system", "content": "Be brief."})
        case "none behind":
            del chat.history[2:]
        case "said before":
            chat.history[0]["content"] = "Something else."
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body


def test_a_notice_that_nobody_got_stays_text() -> None:
    chat = talk()
    chat.history += [{"role": "assistant", "content": notice("bad")}, {"role": "user", "content": notice("bad")}]
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body
