from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.ollama import OllamaChat
from tests.support.judging import notice
from tests.support.strict import call, say
from tests.support.strict_ollama import StrictOllama
from tests.support.talking import Talk

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def talk() -> Talk:
    made = Talk(OllamaChat(), StrictOllama())
    made.user("Clean up.")
    return made


def messages(talk: Talk) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(talk.sent[-1])["messages"]
    return listed


@STREAMED
def test_refused_calls_and_their_results_stand_in_order_among_the_others(stream: bool) -> None:
    chat = talk()
    chat.results(
        chat.turn(say("So."), call("bad"), call("ok"), call("bad", n=2), call("ok"), call("bad"), stream=stream)
    )
    chat.turn(say("Done."), stream=stream)
    assistant, *results = messages(chat)[1:]
    assert assistant["content"] == "So."
    assert [c["function"]["index"] for c in assistant["tool_calls"]] == [0, 1, 2, 3, 4]
    assert [m["content"] for m in results] == [*[notice("bad"), "done"] * 2, notice("bad")]
    assert assistant["tool_calls"][2]["function"]["arguments"] == {"n": 2}


@STREAMED
def test_what_was_put_back_is_the_same_bytes_in_every_later_request(stream: bool) -> None:
    chat = talk()
    for _ in range(3):
        chat.results(chat.turn(call("ok"), call("bad"), stream=stream))
        chat.turn(call("bad"), call("bad"), stream=stream)
        chat.user("Go on.")
    chat.turn(say("Done."), stream=stream)
    for before, after in zip(chat.sent, chat.sent[1:], strict=False):
        assert after.startswith(before[: before.rindex(b"]")])


@pytest.mark.parametrize("change", ["text", "calls", "none behind", "unanswered"])
def test_a_turn_that_is_not_there_as_the_client_got_it_goes_out_as_it_came(change: str) -> None:
    chat = talk()
    chat.results(chat.turn(call("ok"), call("bad")))
    match change:
        case "text":
            chat.history[1]["content"] = "Really."
        case "calls":
            chat.history[1]["tool_calls"][0]["function"]["name"] = "other"
        case "none behind":
            del chat.history[2:]
        case "unanswered":
            chat.history[2] = chat.upstream.user("Go on.")
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body
