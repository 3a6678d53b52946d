from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.arrivals import ClientLeft, ReplyBegan, RequestArrived
from proxy.hall import Hall
from tests.support.detecting import EmailDetector, redactor
from tests.support.driving import DONE, JSON, Driven, asking, completion, event, hall, rules
from tests.support.gateway import joined

EMAIL = "bob@example.org"


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(*calls: tuple[str, str, str]) -> dict[str, Any]:
    made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    return {"role": "assistant", "content": None, "tool_calls": made}


def result(call_id: str, text: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def ask(house: Hall, *messages: Any, reply: bytes | None = None, status: int = 200, **how: Any) -> Driven:
    """A whole exchange without a session, answered with `reply`."""
    made = Driven(house, session=how.pop("session", None))
    made.ask(asking(*messages, **how))
    if made.forwarded is not None:
        made.reply(reply or completion("hello"), status)
    return made


def trajectories(*made: Driven) -> list[str]:
    return [one.attempt.trajectory for one in made]


def test_a_named_session_is_one_trajectory_whatever_it_asks() -> None:
    house = hall()
    first, second = ask(house, "a", session="S"), ask(house, "b", session="S")
    assert trajectories(first, second) == ["S", "S"]
    assert first.attempt.matched_by == "header"


def test_a_request_that_answers_a_call_goes_on_where_the_call_was_proposed() -> None:
    house = hall()
    reply = completion(None, (("c1", "look", "{}"),))
    first = ask(house, "a", reply=reply)
    other = ask(house, "b", reply=completion(None, (("c2", "look", "{}"),)))
    second = ask(house, "a", called(("c1", "look", "{}")), result("c1"))
    assert trajectories(second) == trajectories(first) != trajectories(other)
    assert second.attempt.matched_by == "tool_call_id"


def test_an_edited_history_is_still_found_by_the_call_that_it_answers() -> None:
    house = hall()
    first = ask(house, "a long opening", reply=completion(None, (("c1", "look", "{}"),)))
    second = ask(house, "compacted", called(("c1", "look", "{}")), result("c1"))
    assert trajectories(second) == trajectories(first)


def test_a_history_that_goes_on_as_it_was_answered_is_the_same_trajectory() -> None:
    house = hall()
    made = [ask(house, "a", reply=completion("one"))]
    made.append(ask(house, "a", said("one"), "b", reply=completion("two")))
    made.append(ask(house, "a", said("one"), "b", said("two"), "c"))
    assert len(set(trajectories(*made))) == 1
    assert [m.attempt.matched_by for m in made] == ["new", "history", "history"]


@pytest.mark.parametrize(
    "messages",
    [("a", said("other"), "b"), ("a2", said("one"), "b"), ("a", "b"), ("a",)],
    ids=["another answer", "another opening", "no answer", "the same again after a success"],
)
def test_what_does_not_continue_is_a_new_trajectory(messages: tuple[Any, ...]) -> None:
    house = hall()
    first = ask(house, "a", reply=completion("one"))
    assert trajectories(ask(house, *messages)) != trajectories(first)


def test_the_same_prompt_asked_in_parallel_is_as_many_trajectories() -> None:
    house = hall()
    made = [Driven(house, session=None) for _ in range(8)]
    for one in made:
        one.ask(asking("the same"))
    for number, one in enumerate(made):
        one.reply(completion(None, ((f"c{number}", "look", "{}"),)))
    assert len(set(trajectories(*made))) == 8
    for number, one in enumerate(made):
        call = (f"c{number}", "look", "{}")
        assert trajectories(ask(house, "the same", called(call), result(call[0]))) == trajectories(one)


def test_call_ids_that_a_server_counts_from_zero_do_not_merge_conversations() -> None:
    house = hall()
    call = ("call_0", "look", "{}")
    made = [ask(house, opening, reply=completion(None, (call,))) for opening in ("a", "b")]
    for opening, one in zip(("a", "b"), made, strict=True):
        second = ask(house, opening, called(call), result("call_0"))
        assert trajectories(second) == trajectories(one)


@pytest.mark.parametrize("end", ["failed", "refused", "aborted", "cut"])
def test_what_comes_after_an_attempt_that_did_not_succeed_stays_in_its_trajectory(end: str) -> None:
    house = hall(*rules(allowed=["ok"]))
    forced: dict[str, Any] = {}
    first = ask(house, "a", reply=completion("one"))
    history = ["a", said("one"), "b"]
    if end == "refused":
        tools = [{"type": "function", "function": {"name": "bad"}}]
        forced = {"tools": tools, "tool_choice": {"type": "function", "function": {"name": "bad"}}}
    second = Driven(house, session=None)
    second.ask(asking(*history, **forced))
    if end == "failed":
        second.reply(b"{}", 500)
    elif end == "aborted":
        second.give(ReplyBegan(200, JSON, 0.1), ClientLeft(0.2))
    elif end == "cut":
        second.flow(event({"content": "tw"}))
    assert second.attempt.end == end
    retries = [
        ask(house, *history, reply=b"{}", status=500, **forced),  # once more
        ask(house, *history, "the last request failed", reply=b"{}", status=500),  # with a word about it
        ask(house, "a", said("one"), "shorter", reply=b"{}", status=500),  # in another form
    ]
    assert set(trajectories(second, *retries)) == set(trajectories(first))


def test_a_refused_call_does_not_end_the_trajectory() -> None:
    house = hall(*rules(allowed=["ok"]))
    first = ask(house, "a", reply=completion("Let me see.", (("c1", "bad", "{}"), ("c2", "ok", "{}"))))
    message = json.loads(first.delivered)["choices"][0]["message"]
    second = ask(house, "a", message, result("c2"), reply=completion(None, (("c3", "bad", "{}"),)))
    message2 = json.loads(second.delivered)["choices"][0]["message"]
    third = ask(house, "a", message, result("c2"), said(message2["content"]), "go on")
    assert len(set(trajectories(first, second, third))) == 1


def test_a_streamed_refusal_is_recognised_as_the_client_tells_it() -> None:
    house = hall(*rules(allowed=["ok"]))
    first = Driven(house, session=None)
    first.ask(asking("a", stream=True))
    call = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "bad", "arguments": "{}"}}]}
    out = first.flow(event({"content": "Hm."}), event(call), event({}, "tool_calls"), DONE)
    frames = [json.loads(f[6:]) for f in out.split(b"\n\n") if f.startswith(b"data: {")]
    text = "".join(f["choices"][0]["delta"].get("content") or "" for f in frames)
    second = ask(house, "a", said(text), "b", stream=True)
    assert text.startswith("Hm.\n\n") and trajectories(second) == trajectories(first)


def test_a_prompt_masked_in_nested_arguments_is_masked_the_same_on_every_turn() -> None:
    house = hall(redactor=redactor())
    first = ask(house, f"mail {EMAIL}", reply=completion(None, (("c1", "send", '{"to": "x"}'),)))
    assert first.forwarded is not None
    arguments = json.dumps({"to": EMAIL, "body": json.dumps({"cc": f'"{EMAIL}"'})})
    history = [f"mail {EMAIL}", called(("c1", "send", arguments)), result("c1", f'{{"sent": "{EMAIL}"}}')]
    second = ask(house, *history)
    third = ask(house, *history, said("hello"), f"and {EMAIL} again")
    for one in (second, third):
        assert one.forwarded is not None and EMAIL.encode() not in one.forwarded
    assert second.forwarded is not None and third.forwarded is not None
    prefix = second.forwarded[: second.forwarded.rindex(b"]}")]
    assert third.forwarded.startswith(prefix)
    token = json.loads(first.forwarded)["messages"][0]["content"].removeprefix("mail ")
    masked = json.loads(json.loads(second.forwarded)["messages"][1]["tool_calls"][0]["function"]["arguments"])
    assert masked == {"to": token, "body": json.dumps({"cc": f'"{token}"'})}


def test_a_restored_answer_comes_back_masked_to_the_very_bytes_that_the_model_wrote() -> None:
    house = hall(redactor=redactor())
    first = ask(house, f"mail {EMAIL}")
    assert first.forwarded is not None
    token = json.loads(first.forwarded)["messages"][0]["content"].removeprefix("mail ")
    second = Driven(house, session=None)
    second.ask(asking(f"mail {EMAIL}", said("hello"), "who?"))
    answer = f"It is <{token}>, ({token})."
    out = json.loads(second.reply(completion(answer)))["choices"][0]["message"]["content"]
    assert out == answer.replace(token, EMAIL)
    third = ask(house, f"mail {EMAIL}", said("hello"), "who?", said(out), "thanks")
    assert third.forwarded is not None
    assert json.loads(third.forwarded)["messages"][3]["content"] == answer
    assert trajectories(third) == trajectories(first)


def test_pseudonyms_of_sections_taken_over_are_restored_in_the_trajectory_that_took_them() -> None:
    house = hall(redactor=redactor())
    one = ask(house, f"mail {EMAIL}")
    assert one.forwarded is not None
    token = json.loads(one.forwarded)["messages"][0]["content"].removeprefix("mail ")
    other = Driven(house, session=None)
    other.ask(asking(f"mail {EMAIL}", "another conversation with the same opening"))
    assert json.loads(other.reply(completion(token)))["choices"][0]["message"]["content"] == EMAIL
    assert trajectories(other) != trajectories(one)


def test_tool_definitions_are_recorded_masked() -> None:
    tools = [
        {"type": "function", "function": {"name": "ask", "description": f"asks {EMAIL}", "parameters": {"d": EMAIL}}}
    ]
    made = ask(hall(redactor=redactor()), "a", tools=tools)
    assert EMAIL not in repr(made.attempt)
    assert made.attempt.tools[0].name == "ask"


def test_only_new_texts_are_searched() -> None:
    detector = EmailDetector()
    house = hall(redactor=redactor(detector))
    ask(house, "first text", session="S")
    detector.asked.clear()
    ask(house, "first text", said("hello"), "second text", session="S")
    assert "first text" not in [text for text, _ in detector.asked]
    assert "second text" in [text for text, _ in detector.asked]


def test_a_conversation_is_stored_as_spans_that_turns_share() -> None:
    house = hall()
    first = ask(house, "x" * 400, session="S")
    second = ask(house, "x" * 400, said("hello"), "y", session="S")
    assert {s.digest for s in first.attempt.request} & {s.digest for s in second.attempt.request}
    assert joined(second.attempt.request) == second.forwarded


def test_a_client_that_leaves_before_anything_was_sent_leaves_no_trace() -> None:
    made = Driven(hall(redactor=redactor()), by_hand=True)
    made.give(RequestArrived((), asking(f"mail {EMAIL}")), ClientLeft(0.1))
    assert made.forwarded is None and not made.is_ended


def test_a_first_request_that_fails_is_the_same_trajectory_when_it_comes_again_or_with_more() -> None:
    house = hall()
    first = ask(house, "a", reply=b"{}", status=500)
    again = ask(house, "a", reply=b"{}", status=500)
    more = ask(house, "a", "try harder")
    assert len(set(trajectories(first, again, more))) == 1
    assert trajectories(ask(house, "b")) != trajectories(first)


STREAM_ERRORS = {
    "openai": (
        "/openai/v1/responses",
        {"model": "m", "input": "hi", "stream": True},
        {
            "error": b'data: {"type":"error","sequence_number":1,"code":"server_error","message":"overloaded"}\n\n',
            "failed": b'data: {"type":"response.failed","response":{"id":"r","status":"failed","output":[]}}\n\n',
        },
    ),
    "anthropic": (
        "/anthropic/v1/messages",
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True},
        {"error": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n'},
    ),
    "gemini": (
        "/gemini/v1beta/models/m:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        {"error": b'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\r\n\r\n'},
    ),
    "interactions": (
        "/gemini/v1beta/interactions",
        {"model": "m", "input": "hi", "stream": True},
        {"error": b'data: {"event_type":"error","error":{"code":"x","message":"overloaded"}}\n\n'},
    ),
    "chat": (
        "/openai/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        {"error": b'data: {"error":{"message":"overloaded"}}\n\n'},
    ),
}


@pytest.mark.parametrize(
    ("of", "kind"), [(of, kind) for of, (_, _, events) in STREAM_ERRORS.items() for kind in events]
)
def test_a_stream_that_tells_of_an_error_is_an_attempt_that_failed(of: str, kind: str) -> None:
    path, body, events = STREAM_ERRORS[of]
    made = Driven(hall(), path)
    made.ask(json.dumps(body).encode())
    assert made.flow(events[kind]) == events[kind]
    assert made.attempt.end == "failed"


def test_a_session_that_goes_on_in_another_format_has_its_tools_read_anew() -> None:
    house = hall(*rules(allowed=["look"]))
    tools = [{"type": "function", "name": "look", "function": {"name": "look"}}]
    for path, asked in (
        ("/openai/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/openai/v1/responses", {"input": [{"role": "user", "content": "hi"}]}),
        ("/openai/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    ):
        made = Driven(house, path, session="S")
        forwarded = made.ask(json.dumps({"model": "m", **asked, "tools": tools}).encode())
        assert forwarded is not None
        made.reply(completion("x") if "chat" in path else b'{"id":"r","status":"completed","output":[]}')
        assert made.attempt.end == "complete"
