"""Calls that wait for people, without sockets: who is asked about what, and what passes afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from proxy.approvals import Decision
from proxy.arrivals import ClientLeft, Decided, ReplyBegan, ReplyEnded, ReplyPart, UpstreamFailed
from proxy.hall import Hall
from proxy.routing import Router
from proxy.settings import Upstream
from tests.support.approving import ALLOWED, DENIED, TIMED_OUT, decide, house, questions, rule
from tests.support.detecting import redactor
from tests.support.driving import (
    DONE,
    JSON,
    STREAM,
    UPSTREAMS,
    Driven,
    asking,
    completion,
    event,
    hall,
    header_of,
    rules,
)
from tests.support.gateway import joined

EMAIL = "bob@example.org"
PAY = ("c1", "pay", '{"to": "acme", "amount": 900}')
ORDERS = "/orders/pay"


def proposed(made: Hall, *calls: tuple[str, str, str], content: str | None = "hello", at_s: float = 0.3) -> Driven:
    exchange = Driven(made)
    exchange.ask(asking())
    reply = completion(content, calls)
    exchange.give(ReplyBegan(200, JSON, 0.1, len(reply)), ReplyPart(reply, 0.2), ReplyEnded(at_s))
    return exchange


def calls_of(reply: bytes) -> list[str]:
    return [call["id"] for call in json.loads(reply)["choices"][0]["message"].get("tool_calls") or ()]


def test_what_a_person_has_allowed_passes_byte_for_byte_and_is_what_was_asked_about() -> None:
    exchange = proposed(house(), PAY)
    assert exchange.delivered == b""
    (asked,) = questions(exchange)
    assert json.loads(asked.arguments) == json.loads(PAY[2])
    assert (asked.tool, asked.session, asked.why) == ("pay", "S", "Every call of pay waits for a person.")
    assert decide(exchange, ALLOWED) == completion(calls=(PAY,))
    (note,) = [note for note in exchange.attempt.verdicts if note.action == "ask"]
    assert (note.code, note.by, note.identity, note.subject) == ("allowed", "ada", asked.identity, "pay")
    assert note.message == ALLOWED.reason  # no more than that: a replay decides by it


def test_a_denied_call_becomes_a_text_with_the_reason_and_both_views_are_kept() -> None:
    exchange = proposed(house(), *(calls := (PAY, ("c2", "read", "{}"))))
    got = decide(exchange, DENIED)
    assert calls_of(got) == ["c2"] and b"acme" not in got
    said = json.loads(got)["choices"][0]["message"]["content"]
    assert said.endswith("needs a person to allow it (policies.approvals), and bob has denied it: not on a Friday.")
    attempt = exchange.attempt
    assert joined(attempt.client_reply) == got and joined(attempt.reply) == completion(calls=calls)
    assert [(note.action, note.code) for note in attempt.verdicts] == [
        ("ask", "denied"),
        ("refuse", "approval_denied"),
    ]


def test_a_denied_call_is_put_back_for_the_upstream_like_any_refused_one() -> None:
    made = house()
    got = json.loads(decide(proposed(made, PAY), DENIED))["choices"][0]["message"]
    again = Driven(made)
    sent = json.loads(again.ask(asking("hi", got, "and now?")) or b"")["messages"]
    assert sent[1]["tool_calls"][0]["id"] == "c1" and "has denied it" in sent[2]["content"]
    assert questions(again) == []


@pytest.mark.parametrize(
    ("decisions", "code"), [([TIMED_OUT], "approval_timed_out"), ([], "policy_failed")], ids=["late", "nobody"]
)
def test_what_nobody_decides_on_is_refused(decisions: list[Decision], code: str) -> None:
    exchange = proposed(house(), PAY)
    assert calls_of(decide(exchange, *decisions)) == []
    assert [note.code for note in exchange.attempt.verdicts if note.action == "refuse"] == [code]


def test_nobody_is_asked_about_what_another_rule_refuses() -> None:
    exchange = proposed(house(allowed=["read"]), PAY)
    assert questions(exchange) == [] and calls_of(exchange.delivered) == []
    assert exchange.attempt.verdicts[0].code == "tool_not_allowed"


def test_each_of_two_calls_that_are_the_same_needs_a_decision_of_its_own() -> None:
    exchange = proposed(house(), PAY, ("c2", *PAY[1:]), ("c3", *PAY[1:]))
    assert len({one.identity for one in questions(exchange)}) == 1 and len(questions(exchange)) == 3
    assert calls_of(decide(exchange, DENIED, ALLOWED, TIMED_OUT)) == ["c2"]


def test_calls_without_an_id_that_are_the_same_each_need_one() -> None:
    exchange = proposed(house(), ("", *PAY[1:]), ("", *PAY[1:]))
    assert len(questions(exchange)) == 2
    assert calls_of(decide(exchange, ALLOWED, DENIED)) == [""]


def test_two_calls_with_one_id_are_refused_and_nobody_is_asked() -> None:
    exchange = proposed(house(), ("c1", "pay", '{"amount": 1}'), ("c1", "pay", '{"amount": 1000000}'))
    assert questions(exchange) == [] and calls_of(exchange.delivered) == []
    assert "has its id" in exchange.attempt.verdicts[0].message


def test_the_calls_of_all_choices_wait() -> None:
    reply = json.loads(completion(calls=(PAY,)))
    reply["choices"].append(json.loads(completion(calls=(("c2", "functions.pay", "{}"),)))["choices"][0] | {"index": 1})
    exchange = Driven(house())
    exchange.ask(asking())
    exchange.reply(body := json.dumps(reply).encode())
    assert [one.tool for one in questions(exchange)] == ["pay", "functions.pay"]
    assert decide(exchange, ALLOWED, ALLOWED) == body


@pytest.mark.parametrize("arguments", ['{"amount": 1, "amount": 2}', '{"amount": 1', "[1]"])
def test_nobody_is_asked_about_arguments_that_can_be_read_in_two_ways(arguments: str) -> None:
    exchange = proposed(house(), ("c1", "pay", arguments))
    assert questions(exchange) == [] and calls_of(exchange.delivered) == []


def streamed_call(index: int, call_id: str) -> list[bytes]:
    first = {"index": index, "id": call_id, "type": "function", "function": {"name": "pay", "arguments": ""}}
    pieces = ['{"to": "acme", ', '"amount": 900}']
    more = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
    return [event({"tool_calls": [one]}) for one in (first, *more)]


def streamed(*more: bytes) -> list[bytes]:
    return [
        event({"role": "assistant", "content": "Let me pay."}),
        *streamed_call(0, "c1"),
        *more,
        event({}, "tool_calls"),
        DONE,
    ]


def test_of_a_stream_the_text_is_out_and_the_call_waits() -> None:
    exchange = Driven(house())
    exchange.ask(asking(stream=True))
    parts = streamed()
    for part in parts[:-1]:
        exchange.give(*([ReplyBegan(200, STREAM, 0.1)] if part is parts[0] else []), ReplyPart(part, 0.2))
    assert exchange.delivered == parts[0] and questions(exchange) == []  # the reply is not all there yet
    exchange.give(ReplyPart(parts[-1], 0.3))
    assert exchange.delivered == parts[0]
    (asked,) = questions(exchange)
    assert asked.arguments == '{"amount":900,"to":"acme"}'
    assert decide(exchange, ALLOWED) == b"".join(parts)
    exchange.give(ReplyEnded(0.6))
    assert exchange.is_ended and exchange.attempt.end == "complete"


def test_of_a_stream_a_denied_call_vanishes_and_the_calls_behind_it_stay() -> None:
    read = {"index": 1, "id": "c2", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    exchange = Driven(house())
    exchange.ask(asking(stream=True))
    exchange.flow(*streamed(event({"tool_calls": [read]})))
    got = decide(exchange, DENIED)
    assert b"acme" not in got and b"900" not in got and b"has denied it: not on a Friday" in got
    assert b'"c2"' in got and got.endswith(DONE)
    assert exchange.attempt.answer is not None and len(exchange.attempt.answer.calls) == 2


def test_a_stream_without_a_terminator_asks_at_its_end() -> None:
    exchange = Driven(house())
    exchange.ask(asking(stream=True))
    exchange.flow(*(parts := streamed()[:-1]))
    assert len(questions(exchange)) == 1
    assert decide(exchange, ALLOWED) == b"".join(parts) and exchange.is_ended


def test_nobody_is_asked_about_a_stream_that_breaks_off() -> None:
    exchange = Driven(house())
    exchange.ask(asking(stream=True))
    exchange.give(ReplyBegan(200, STREAM, 0.1), *(ReplyPart(part, 0.2) for part in streamed()[:-1]))
    exchange.give(UpstreamFailed("reset", "gone", 0.3))
    assert questions(exchange) == [] and b"acme" not in exchange.delivered
    assert exchange.attempt.end == "cut" and [n for n in exchange.attempt.verdicts if n.action == "ask"] == []


def test_a_client_that_leaves_withdraws_the_question() -> None:
    for exchange in (proposed(house(), PAY), called(house())):
        (asked,) = questions(exchange)
        exchange.give(ClientLeft(100.5))
        assert exchange.delivered == b"" and exchange.attempt.end == "aborted"
        (note,) = [note for note in exchange.attempt.verdicts if note.action == "ask"]
        assert (note.code, note.identity) == ("withdrawn", asked.identity)
        assert exchange.attempt.total_s < 1 and float(exchange.attempt.extra["waited_s"]) > 100
        assert exchange.give(Decided({asked.id: ALLOWED}, 0.6)) == []


def called(made: Hall, arguments: str = PAY[2], path: str = ORDERS) -> Driven:
    exchange = Driven(made, path)
    exchange.ask(arguments.encode())
    return exchange


def test_a_call_of_a_tool_goes_on_once_it_is_allowed() -> None:
    exchange = called(house())
    assert exchange.forwarded is None and len(questions(exchange)) == 1
    decide(exchange, ALLOWED)
    assert exchange.forwarded == PAY[2].encode()


@pytest.mark.parametrize(("said", "code"), [(DENIED, "approval_denied"), (TIMED_OUT, "approval_timed_out")])
def test_a_call_of_a_tool_that_is_not_allowed_is_refused(said: Decision, code: str) -> None:
    exchange = called(house())
    decide(exchange, said)
    assert exchange.forwarded is None and header_of(exchange.responded, "x-ironcage-refusal") == code
    assert exchange.responded.status == 400 and exchange.attempt.end == "refused"


def test_while_people_decide_nothing_is_reserved() -> None:
    made, ledger = house(), MemoryLedger()
    made.engine = Engine([*rules(max_retries=1), rule()], ledger)
    first = called(made)
    decide(first, ALLOWED)
    first.give(UpstreamFailed("reset", "gone", 0.9))
    for said in (DENIED, ALLOWED):  # a retry, twice: the budget is for one
        retry = called(made)
        assert len(questions(retry)) == 1 and ledger.total("retries:S") == 0
        decide(retry, said)
    assert retry.forwarded is not None and ledger.total("retries:S") == 1


def test_a_proposal_that_was_allowed_may_be_made_once() -> None:
    made = house()
    decide(proposed(made, PAY), ALLOWED)
    first = called(made, '{"amount":900,"to":"acme"}')
    assert first.forwarded is not None and questions(first) == []
    first.reply(b"{}")
    assert [(note.action, note.code, note.by) for note in first.attempt.verdicts] == [("ask", "allowed", "ada")]
    for other in (called(made), called(made, '{"amount": 901, "to": "acme"}')):
        assert other.forwarded is None and len(questions(other)) == 1
    assert len(questions(proposed(made, PAY))) == 1


def test_a_denied_proposal_may_not_be_made() -> None:
    made = house()
    decide(proposed(made, PAY), DENIED)
    assert called(made).forwarded is None


def test_what_is_remembered_holds_for_the_same_call_in_the_same_trajectory() -> None:
    made = house(remember="trajectory")
    decide(proposed(made, PAY), ALLOWED)
    assert proposed(made, PAY).delivered == completion(calls=(PAY,)) and called(made).forwarded is not None
    assert called(made).forwarded is not None
    assert len(questions(proposed(made, ("c1", "pay", '{"to": "acme", "amount": 901}')))) == 1
    elsewhere = Driven(made, ORDERS, session="T")
    elsewhere.ask(PAY[2].encode())
    assert elsewhere.forwarded is None


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/orders/files/b"), ("POST", "/orders/pay"), ("DELETE", "/orders/files/a"), ("POST", "/others/files/a")],
    ids=["another record", "another path of its name", "another verb", "another upstream"],
)
def test_what_a_person_has_allowed_at_one_place_is_asked_about_at_another(method: str, path: str) -> None:
    tools = {"POST /files": "pay", "DELETE /files": "pay"}
    upstreams = {
        name: Upstream(base_url="http://127.0.0.1:9000", kind="tool", tools=tools) for name in ("orders", "others")
    }
    made = replace(house(remember="trajectory"), router=Router(upstreams))
    first = called(made, "{}", "/orders/files/a")
    (asked,) = questions(first)
    decide(first, ALLOWED)
    assert called(made, "{}", "/orders/files/a").forwarded is not None
    other = Driven(made, path, method=method)
    other.ask(b"{}")
    (also,) = questions(other)
    assert other.forwarded is None and asked.place == "orders POST /files/a"
    assert also.identity != asked.identity and also.place != asked.place


@pytest.mark.parametrize(("method", "path"), [("DELETE", ORDERS), ("POST", "/orders/wire/eve")])
def test_a_proposal_covers_no_call_whose_place_says_more_than_its_name(method: str, path: str) -> None:
    upstream = Upstream(base_url="http://127.0.0.1:9000", kind="tool", tools={"POST /wire": "pay"})
    made = house()
    made = replace(made, router=Router({**UPSTREAMS, "orders": upstream}))
    decide(proposed(made, ("c1", "pay", "{}")), ALLOWED)
    other = Driven(made, path, method=method)
    other.ask(b"")
    assert other.forwarded is None and len(questions(other)) == 1
    assert called(made, "{}", "/orders/wire").forwarded is not None  # which the proposal is for


def test_a_tool_of_one_mcp_server_is_not_that_of_another() -> None:
    servers = {name: Upstream(base_url=f"http://127.0.0.1:9100/{name}", kind="mcp") for name in ("bank", "other")}
    made = replace(house(remember="trajectory"), router=Router(servers))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay", "arguments": {"a": 1}}}
    first = called(made, json.dumps(call), "/bank")
    decide(first, ALLOWED)
    assert first.forwarded is not None and called(made, json.dumps(call), "/other").forwarded is None


def test_people_see_pseudonyms_and_decide_on_the_values() -> None:
    made = house(redactor=redactor())
    exchange = Driven(made)
    token = json.loads(exchange.ask(asking(f"pay {EMAIL}")) or b"")["messages"][0]["content"][4:]
    reply = completion(calls=(("c1", "pay", json.dumps({"to": token})),))
    exchange.reply(reply)
    (asked,) = questions(exchange)
    assert json.loads(asked.arguments) == {"to": token} and EMAIL not in repr(asked)
    assert EMAIL.encode() in decide(exchange, ALLOWED)
    assert EMAIL not in repr(exchange.attempt)
    other = Driven(made, ORDERS)
    other.ask(json.dumps({"to": EMAIL}).encode())
    assert other.forwarded is not None and questions(other) == []  # the same call: it was allowed once


def test_one_call_has_one_identity_however_it_is_spelled() -> None:
    ways = ['{"a": 1, "b": [2]}', '{ "b":[2],"a":1 }', '{"\\u0061": 1, "b": [2]}']
    asked = [questions(called(house(), way))[0] for way in ways]
    assert len({one.identity for one in asked}) == 1 and len({one.arguments for one in asked}) == 1
    other = questions(called(house(), '{"a": 1, "b": [3]}'))[0]
    assert other.identity != asked[0].identity


def test_the_wait_is_no_latency_of_the_model() -> None:
    exchange = proposed(house(), PAY, at_s=0.3)
    decide(exchange, ALLOWED, at_s=100.3)
    attempt = exchange.attempt
    assert attempt.total_s == pytest.approx(0.3) and attempt.extra["waited_s"] == "100.000"
    tool = called(house())
    decide(tool, ALLOWED, at_s=60.0)
    tool.give(ReplyBegan(200, JSON, 60.5, 2), ReplyPart(b"{}", 60.6), ReplyEnded(60.75))
    assert tool.attempt.first_byte_s == pytest.approx(0.5) and tool.attempt.total_s == pytest.approx(0.75)


def test_nothing_is_asked_where_no_rule_leaves_calls_to_people() -> None:
    made = hall()
    assert not made.engine.reads_arguments  # so streams have the plain reader
    exchange = proposed(made, PAY)
    assert exchange.delivered == completion(calls=(PAY,)) and questions(exchange) == []


def message(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, **fields}).encode()


@pytest.mark.parametrize("entry", ["pay", "mcp__files__pay", "mcp__*"])
def test_a_call_of_an_mcp_server_waits_by_each_of_its_names(entry: str) -> None:
    exchange = Driven(house(tools={entry: {}}), "/files")
    body = message(method="tools/call", params={"name": "pay", "arguments": {"to": "acme"}})
    exchange.ask(body, JSON)
    assert exchange.forwarded is None and questions(exchange)[0].arguments == '{"to":"acme"}'
    decide(exchange, ALLOWED)
    assert exchange.forwarded == body


def test_a_batch_of_mcp_messages_does_not_hide_a_call() -> None:
    exchange = Driven(house(), "/files")
    exchange.ask(b"[" + message(method="tools/call", params={"name": "pay", "arguments": {}}) + b"]", JSON)
    assert exchange.forwarded is None and questions(exchange) == []
    assert exchange.attempt.end == "refused"


def test_the_calls_that_a_client_has_sampled_for_a_server_wait_together() -> None:
    uses = [{"type": "tool_use", "id": f"u{n}", "name": "pay", "input": {"n": n}} for n in (1, 2)]
    body = message(result={"role": "assistant", "content": uses, "model": "m", "stopReason": "toolUse"})
    for last, passes in ((ALLOWED, True), (DENIED, False)):
        exchange = Driven(house(), "/files")
        exchange.ask(body, JSON)
        assert [one.arguments for one in questions(exchange)] == ['{"n":1}', '{"n":2}']
        decide(exchange, ALLOWED, last)
        assert (exchange.forwarded == body) is passes and len(questions(exchange)) == 2
