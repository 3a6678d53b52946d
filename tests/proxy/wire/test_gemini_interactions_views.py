from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.gemini_interactions import GeminiInteractions
from tests.support.judging import notice
from tests.support.strict import call, say
from tests.support.strict_interactions import StrictInteractions
from tests.support.talking import Talk

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def talk() -> Talk:
    made = Talk(GeminiInteractions(), StrictInteractions())
    made.user("Clean up.")
    return made


def steps(talk: Talk) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(talk.sent[-1])["input"]
    return listed


@STREAMED
def test_thoughts_stay_signed_over_many_turns_of_refused_calls(stream: bool) -> None:
    chat = talk()
    for n in range(3):
        chat.results(chat.turn(call("bad", n=n), say("And"), call("ok"), call("bad"), stream=stream))
        chat.turn(call("bad"), stream=stream)
        chat.user("Go on.")
    chat.turn(say("Done."), stream=stream)
    for before, after in zip(chat.sent, chat.sent[1:], strict=False):
        assert after.startswith(before[: before.rindex(b"]")])
    refused = [step for step in steps(chat) if step.get("is_error")]
    assert [step["result"] for step in refused] == [notice("bad")] * 9
    assert refused[0]["name"] == "bad"


@STREAMED
@pytest.mark.parametrize("following", ["Go on.", "step", "contents", "results"])
def test_an_interaction_that_the_server_holds_gets_its_results_first(stream: bool, following: str) -> None:
    chat = talk()
    server = chat.upstream
    assert isinstance(server, StrictInteractions)
    got = chat.turn(call("bad"), *([call("ok")] if following == "results" else []), stream=stream)
    chat.history.clear()
    match following:
        case "step":
            chat.user("Go on.")
        case "contents":
            chat.history = [{"type": "text", "text": "Go"}, {"type": "text", "text": "on."}]
        case "results":
            chat.results(got)
    body = server.request(chat.history, streamed=stream, previous_interaction_id=server.interaction)
    if not chat.history:
        body = body.replace(b'"input": []', b'"input": "Go on."')
    request = chat.pass_on(body)
    assert server.problem(request) is None
    assert steps(chat)[0]["is_error"]
    assert len(steps(chat)) == (3 if following == "contents" else 2)


@pytest.mark.parametrize("change", ["text", "calls", "none behind", "gone"])
def test_a_turn_that_is_not_there_as_the_client_got_it_goes_out_as_it_came(change: str) -> None:
    chat = talk()
    chat.results(chat.turn(call("ok"), call("bad")))
    match change:
        case "text":
            chat.history[4]["content"][0]["text"] += " Really."
        case "calls":
            chat.history[2]["id"] = "call_9"
        case "none behind":
            del chat.history[5:]
        case "gone":
            del chat.history[4]
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body
