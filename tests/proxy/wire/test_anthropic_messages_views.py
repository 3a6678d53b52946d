from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.anthropic_messages import AnthropicMessages
from tests.support.judging import notice
from tests.support.strict import call, say
from tests.support.strict_messages import StrictMessages
from tests.support.talking import Talk

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def talk() -> Talk:
    made = Talk(AnthropicMessages(), StrictMessages())
    made.user("Clean up.")
    return made


def messages(talk: Talk) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(talk.sent[-1])["messages"]
    return listed


@STREAMED
def test_a_refused_call_is_put_back_in_its_place_and_its_result_first(stream: bool) -> None:
    chat = talk()
    chat.results(chat.turn(say("Now."), call("ok", a=1), call("bad", b=2), stream=stream))
    chat.turn(say("Done."), stream=stream)
    _, assistant, results = messages(chat)
    assert [b["type"] for b in assistant["content"]][1::2] == ["text", "tool_use", "tool_use"]
    refused = assistant["content"][-1]
    assert (refused["name"], refused["input"]) == ("bad", {"b": 2})
    error = {"type": "tool_result", "tool_use_id": refused["id"], "content": notice("bad"), "is_error": True}
    assert results["content"][0] == error
    assert len(results["content"]) == 2


@STREAMED
def test_thinking_stays_signed_over_many_turns_of_refused_calls(stream: bool) -> None:
    chat = talk()
    for n in range(4):
        chat.results(chat.turn(call("bad", n=n), say("And"), call("ok"), call("bad"), stream=stream))
        chat.turn(call("bad"), stream=stream)
        chat.user("Go on.")
    chat.turn(say("Done."), stream=stream)
    for before, after in zip(chat.sent, chat.sent[1:], strict=False):
        assert after.startswith(before[: before.rindex(b"]")])


def test_marks_for_the_cache_move_on_without_breaking_what_was_put_back() -> None:
    chat = talk()
    mark = {"type": "ephemeral"}
    for _ in range(3):
        chat.turn(call("bad"))
        chat.user("Go on.")
        for message in chat.history:
            if isinstance(message["content"], str):
                message["content"] = [{"type": "text", "text": message["content"]}]
            for block in message["content"]:
                block.pop("cache_control", None)
        chat.history[-1]["content"][-1]["cache_control"] = mark
        chat.history[-2]["content"][-1]["cache_control"] = mark
    chat.turn(say("Done."))
    assert [b["type"] for m in messages(chat)[1::2] for b in m["content"]] == ["thinking", "tool_use"] * 3
    assert messages(chat)[-2]["content"][-1]["cache_control"] == mark
    assert len(messages(chat)[-1]["content"]) == 2


def test_other_fields_of_a_call_come_back_too() -> None:
    chat = talk()
    chat.pass_on(chat.upstream.request(chat.history, streamed=True))
    use = {"type": "tool_use", "id": "toolu_1", "name": "bad", "input": {"x": 1}, "caller": {"type": "direct"}}
    chat.history += chat.upstream.got(
        chat.answered([{"role": "assistant", "content": [use]}], stream=True), streamed=True
    )
    chat.user("And?")
    chat.turn(say("No."))
    assert messages(chat)[1]["content"] == [use]


@pytest.mark.parametrize("following", ["system", "empty", "string"])
def test_results_stand_before_whatever_follows(following: str) -> None:
    chat = talk()
    chat.turn(call("bad"))
    match following:
        case "system":
            chat.history.append({"role": "system", "content": "Be brief."})
        case "empty":
            chat.history.append({"role": "user", "content": []})
        case "string":
            chat.history.append({"role": "user", "content": "Go on."})
    chat.turn(say("Done."))
    assert [b["type"] for b in messages(chat)[2]["content"]][:1] == ["tool_result"]


@pytest.mark.parametrize("change", ["text", "id", "gone", "none behind", "more calls"])
def test_a_turn_that_is_not_there_as_the_client_got_it_goes_out_as_it_came(change: str) -> None:
    chat = talk()
    chat.results(chat.turn(call("ok"), call("bad")))
    blocks = chat.history[1]["content"]
    match change:
        case "text":
            blocks[-1]["text"] += " Really."
        case "id":
            blocks[1]["id"] = "toolu_9"
        case "gone":
            del blocks[1]
        case "none behind":
            del chat.history[2:]
        case "more calls":
            blocks.insert(0, {"type": "tool_use", "id": "toolu_9", "name": "ok", "input": {}})
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body


def test_a_message_of_one_string_is_this_turn_where_it_is_the_notice() -> None:
    chat = Talk(AnthropicMessages(), StrictMessages())
    chat.user("Clean up.")
    chat.pass_on(chat.upstream.request(chat.history, streamed=False))
    use = {"type": "tool_use", "id": "toolu_1", "name": "bad", "input": {}}
    chat.answered([{"role": "assistant", "content": [use]}], stream=False)
    chat.history += [{"role": "assistant", "content": notice("bad")}, {"role": "user", "content": "And?"}]
    chat.turn(say("No."))
    assert messages(chat)[1]["content"] == [use]


def test_tools_that_results_refer_to_are_still_taken_out_behind_a_turn_put_back() -> None:
    chat = talk()
    chat.results(chat.turn(call("bad"), call("ok")))
    chat.history[-1]["content"][0]["content"] = [{"type": "tool_reference", "tool_name": "bad"}]
    layout = chat.lay_out(chat.upstream.request(chat.history, streamed=False))
    chat.wire.drop_tools(layout, frozenset({"bad"}))
    sent = json.loads(b"".join(span.data for span in layout.assembled()))["messages"]
    first, second = sent[2]["content"]
    assert first["is_error"] and "tool_reference" not in json.dumps(second)
    assert "tool_reference" not in layout.items[2].section.sent.decode()
