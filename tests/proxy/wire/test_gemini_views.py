from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.gemini import GeminiGenerate
from tests.support.judging import notice
from tests.support.strict import call, say
from tests.support.strict_gemini import StrictGemini
from tests.support.talking import Talk

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
IDS = pytest.mark.parametrize("ids", [False, True], ids=["by name", "by id"])


def talk(*, ids: bool = True) -> Talk:
    made = Talk(GeminiGenerate(), StrictGemini(ids=ids))
    made.user("Clean up.")
    return made


def contents(talk: Talk) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(talk.sent[-1])["contents"]
    return listed


@IDS
@STREAMED
def test_a_refused_call_is_put_back_beside_its_signature_and_answered_in_its_order(stream: bool, ids: bool) -> None:
    chat = talk(ids=ids)
    chat.results(chat.turn(say("Now."), call("bad", b=2), call("ok", a=1), call("bad"), call("ok"), stream=stream))
    chat.turn(say("Done."), stream=stream)
    parts = [part for content in contents(chat)[1:-1] for part in content["parts"]]
    assert [p.get("functionCall", {}).get("args") for p in parts] == [None, {"b": 2}, {"a": 1}, {}, {}]
    assert [bool(p.get("thoughtSignature")) for p in parts] == [False, True, False, False, False]
    results = [part["functionResponse"]["response"] for part in contents(chat)[-1]["parts"]]
    assert results == [{"error": notice("bad")}, {"output": "done"}] * 2


@IDS
@STREAMED
def test_signatures_stay_valid_over_many_turns_of_refused_calls(stream: bool, ids: bool) -> None:
    chat = talk(ids=ids)
    for _ in range(4):
        chat.results(chat.turn(call("bad"), call("ok"), call("bad"), say("And"), call("ok"), stream=stream))
        chat.turn(call("bad"), call("bad"), stream=stream)
        chat.user("Go on.")
    chat.turn(say("Done."), stream=stream)
    for before, after in zip(chat.sent, chat.sent[1:], strict=False):
        assert after.startswith(before[: before.rindex(b"]")])


def test_a_call_that_came_in_pieces_is_put_back_as_one() -> None:
    chat = talk()
    chat.pass_on(chat.upstream.request(chat.history, streamed=True))
    name = {"functionCall": {"id": "f1", "name": "bad", "willContinue": True}, "thoughtSignature": "abcd"}
    piece = {"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Os"}], "willContinue": True}}
    last = {"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "lo"}]}}
    parts = parts_of(chat.answered(said(name, piece, last), stream=True))
    assert [part["text"] for part in parts] == [notice("bad"), "", ""]
    chat.history += said(*parts)
    chat.user("And?")
    chat.pass_on(chat.upstream.request(chat.history, streamed=True))
    whole = {"functionCall": {"id": "f1", "name": "bad", "args": {"city": "Oslo"}}, "thoughtSignature": "abcd"}
    assert contents(chat)[1]["parts"] == [whole]


def said(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "model", "parts": list(parts)}]


def parts_of(stream: bytes) -> list[dict[str, Any]]:
    told = [json.loads(frame[6:]) for frame in stream.split(b"\r\n\r\n") if frame.strip()]
    return [part for one in told for part in one["candidates"][0]["content"]["parts"]]


@pytest.mark.parametrize("change", ["text", "calls", "more calls", "none behind", "unanswered", "gone"])
def test_a_turn_that_is_not_there_as_the_client_got_it_goes_out_as_it_came(change: str) -> None:
    chat = talk()
    chat.results(chat.turn(call("ok"), call("bad")))
    parts = chat.history[1]["parts"]
    match change:
        case "text":
            parts[1]["text"] += " Really."
        case "calls":
            parts[0]["functionCall"]["name"] = "other"
        case "more calls":
            parts.append({"functionCall": {"name": "ok", "args": {}}})
        case "none behind":
            del chat.history[2:]
        case "unanswered":
            chat.history[2] = chat.upstream.user("Go on.")
        case "gone":
            del parts[1]
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body


def test_fields_in_snake_case_are_read_and_kept() -> None:
    chat = talk()
    chat.turn(call("bad"), call("ok"))
    first, second = chat.history[1]["parts"]
    first["thought_signature"] = first.pop("thoughtSignature")
    second["function_call"] = second.pop("functionCall")
    second["thought_signature"] = second.pop("thoughtSignature")
    chat.history.append(
        {"role": "user", "parts": [{"function_response": {"name": "ok", "response": {"output": "done"}}}]}
    )
    chat.pass_on(chat.upstream.request(chat.history, streamed=False))
    first, second = contents(chat)[1]["parts"]
    assert set(first) == {"functionCall", "thought_signature"} and set(second) == {"function_call"}
    assert len(contents(chat)[2]["parts"]) == 2
