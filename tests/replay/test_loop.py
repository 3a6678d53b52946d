from __future__ import annotations

import json
from typing import Any

from replay.loop import ClosedLoop
from replay.turns.openai_chat import ChatTurns
from replay.world.tape import Recording, Tape
from tests.support.recordings import Message, calls, said, user

TAPE = Tape((Recording("look", '{"id":1}', "in transit"),))


class Model:
    """Replies in order, as HTTP status and message; keeps what it was asked."""

    def __init__(self, *replies: tuple[int, Message]) -> None:
        self.replies = list(replies)
        self.asked: list[dict[str, Any]] = []

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        self.asked.append(json.loads(body))
        status, message = self.replies.pop(0)
        return status, json.dumps({"choices": [{"message": message}]} if status < 400 else message).encode()


async def run(model: Model, tape: Tape = TAPE, max_steps: int = 5, **request: Any) -> tuple[ClosedLoop, list[float]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    body = json.dumps({"model": "m", "messages": [user("where?")], **request})
    loop = ClosedLoop(model.ask, body, tape.reader(), ChatTurns(), max_steps=max_steps, pause=pause)
    await loop.run()
    return loop, pauses


async def test_loop_answers_calls_from_the_tape_until_there_are_none() -> None:
    model = Model((200, calls(("c1", "look", '{"id":1}'))), (200, said("It is in transit.")))
    loop, _ = await run(model)
    assert (loop.answer, loop.ended, loop.steps) == ("It is in transit.", "answered", 2)
    assert [one.fidelity for one in loop.served] == ["exact"]
    *_, assistant, tool = model.asked[1]["messages"]
    assert assistant["tool_calls"][0]["function"]["name"] == "look"
    assert "content" not in assistant, "a null that the model sent is not sent back"
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "in transit"}


async def test_calls_made_together_are_answered_together_and_in_order() -> None:
    model = Model((200, calls(("a", "look", '{"id":1}'), ("b", "look", '{"id":2}'))), (200, said("done")))
    loop, _ = await run(model)
    assert [message.get("tool_call_id") for message in model.asked[1]["messages"][2:]] == ["a", "b"]
    assert [one.fidelity for one in loop.served] == ["exact", "missing"]


async def test_miss_is_an_explicit_error_and_counted_and_teaches_no_recording() -> None:
    model = Model((200, calls(("c1", "look", '{"id":99}'))), (200, said("sorry")))
    loop, _ = await run(model)
    text = model.asked[1]["messages"][-1]["content"]
    assert "no result of look is available" in json.loads(text)["error"]
    assert '"id":1' not in text
    assert 'look({"id":1})' in loop.served[0].note, "the record names the nearest recording"


async def test_request_goes_out_unstreamed_and_otherwise_as_recorded() -> None:
    model = Model((200, said("ok")))
    await run(model, stream=True, stream_options={"include_usage": True}, temperature=0.2, tools=[{"type": "x"}])
    assert model.asked == [
        {"model": "m", "messages": [user("where?")], "temperature": 0.2, "tools": [{"type": "x"}]},
    ]


async def test_signatures_in_tool_calls_are_sent_back_untouched() -> None:
    message = calls(("c1", "look", '{"id":1}'))
    message["tool_calls"][0]["extra_content"] = {"signature": "abc=="}
    message["annotations"] = []
    model = Model((200, message), (200, said("ok")))
    await run(model)
    sent = model.asked[1]["messages"][1]
    assert sent["tool_calls"][0]["extra_content"] == {"signature": "abc=="}
    assert "annotations" not in sent


async def test_legacy_function_call_is_answered_in_its_own_role() -> None:
    message = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": '{"id":1}'}}
    model = Model((200, message), (200, said("ok")))
    await run(model)
    assert model.asked[1]["messages"][-1] == {"role": "function", "name": "look", "content": "in transit"}


async def test_overloaded_model_is_asked_twice_more_with_growing_pauses() -> None:
    model = Model((503, {}), (429, {}), (200, said("at last")))
    loop, pauses = await run(model)
    assert (loop.answer, pauses) == ("at last", [0.5, 1.0])
    assert model.asked[0] == model.asked[2], "a retry is the same operation"


async def test_model_that_stays_away_ends_the_run_as_an_upstream_error() -> None:
    loop, _ = await run(Model((500, {}), (500, {}), (502, {"error": "gone"})))
    assert (loop.ended, loop.answer) == ("upstream_error", None)
    assert "HTTP 502" in loop.evidence


async def test_refusal_of_policy_is_not_retried() -> None:
    model = Model((400, {"error": {"code": "retry_budget_exhausted"}}))
    loop, pauses = await run(model)
    assert (loop.ended, pauses, len(model.asked)) == ("refused", [], 1)
    assert "retry_budget_exhausted" in loop.evidence


async def test_loop_ends_after_its_most_steps() -> None:
    endless = [(200, calls((f"c{n}", "look", '{"id":1}'))) for n in range(5)]
    loop, _ = await run(Model(*endless), max_steps=3)
    assert (loop.ended, loop.steps, loop.answer) == ("max_steps", 3, None)


async def test_empty_completion_is_told_apart_from_an_answer() -> None:
    loop, _ = await run(Model((200, said("  "))))
    assert loop.ended == "empty"


async def test_reply_that_is_no_completion_ends_the_run() -> None:
    class Broken(Model):
        async def ask(self, body: bytes) -> tuple[int, bytes]:
            return 200, b"<html>"

    loop, _ = await run(Broken())
    assert loop.ended == "unreadable"
