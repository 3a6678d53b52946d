from __future__ import annotations

import json
from typing import Any

import pytest

from policies.verdict import Refuse, Verdict
from proxy.arrivals import (
    CommitFailed,
    Committed,
    DetectionFailed,
    ReplyBegan,
    ReplyEnded,
    ReplyPart,
    RequestArrived,
    UpstreamFailed,
)
from proxy.effects import (
    BeginReply,
    Commit,
    EndReply,
    SendPart,
)
from tests.support.detecting import EmailDetector, redactor
from tests.support.driving import (
    DONE,
    STREAM,
    Driven,
    asking,
    completion,
    event,
    hall,
    header_of,
    rules,
)
from tests.support.exchange_rows import (
    EMAIL,
    REQUEST,
    RESET,
    STREAMED,
    TEXT,
    WHOLE,
    driven,
)
from tests.support.gateway import joined
from trajectory.events import BytesMoved, Event


def test_a_body_that_cannot_be_judged_is_refused_natively_and_recorded() -> None:
    for body in (
        b"",
        b"no json",
        b"[]",
        b'{"model":"m"}',
        b'{"model":1,"messages":[]}',
        asking()[:-1],
        b'{"model":"m","messages":[],"model":"n"}',
    ):
        exchange = Driven(hall())
        assert exchange.ask(body) is None
        assert exchange.responded.status == 400
        assert json.loads(exchange.delivered)["error"]["code"] == "unreadable_body"
        assert header_of(exchange.responded, "x-should-retry") == "false"
        assert header_of(exchange.responded, "x-ironcage-refusal") == "unreadable_body"
        assert exchange.attempt.end == "refused" and exchange.attempt.session == "S"


def test_a_compressed_request_is_refused() -> None:
    exchange = Driven(hall())
    assert exchange.ask(asking(), (("Content-Encoding", "gzip"),)) is None
    assert exchange.attempt.verdicts[0].code == "unreadable_body"


def test_a_refused_route_is_recorded_and_never_forwarded() -> None:
    exchange = Driven(hall(), "/openai/v1/files")
    assert exchange.ask(b"x") is None
    assert exchange.attempt.verdicts[0].code == "route_refused"
    assert (exchange.attempt.end, exchange.attempt.request) == ("refused", ())


def test_a_forbidden_tool_is_not_offered_and_the_rest_keeps_its_bytes() -> None:
    tools = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("a", "b", "c")]
    body = asking(tools=tools)
    exchange = Driven(hall(*rules(allowed=["a", "c"])))
    forwarded = exchange.ask(body)
    assert forwarded == body.replace(json.dumps(tools[1]).encode() + b", ", b"")
    (note,) = exchange.exchange.notes
    assert (note.action, note.subject, note.count) == ("rewrite", "b", 1)


def test_a_forced_forbidden_tool_is_refused() -> None:
    tools = [{"type": "function", "function": {"name": "b"}}]
    exchange = Driven(hall(*rules(allowed=["a"])))
    assert exchange.ask(asking(tools=tools, tool_choice={"type": "function", "function": {"name": "b"}})) is None
    assert header_of(exchange.responded, "x-ironcage-refusal") == "tool_not_allowed"


def test_a_spent_retry_budget_refuses_however_often_it_is_asked() -> None:
    house = hall(*rules(max_retries=1))
    ends = []
    for _ in range(5):
        exchange = Driven(house)
        if exchange.ask(asking()) is not None:
            exchange.reply(b'{"error":{}}', 429)
        ends.append((exchange.attempt.end, exchange.attempt.number))
    assert ends == [("failed", 1), ("failed", 2), ("refused", 3), ("refused", 4), ("refused", 5)]


def test_without_a_session_a_refused_request_is_still_the_same_trajectory_when_it_comes_again() -> None:
    house = hall(*rules(max_retries=1))
    ends = []
    for _ in range(5):
        exchange = Driven(house, session=None)
        if exchange.ask(asking()) is not None:
            exchange.reply(b'{"error":{}}', 500)
        ends.append((exchange.attempt.trajectory, exchange.attempt.end))
    assert [end for _, end in ends] == ["failed", "failed", "refused", "refused", "refused"]
    assert len({trajectory for trajectory, _ in ends}) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_the_last_word_may_be_a_well_formed_reply(stream: bool) -> None:
    house = hall(*rules(max_retries=0, final=True))
    first = Driven(house)
    first.ask(asking(stream=stream))
    first.reply(b"{}", 500)
    second = Driven(house)
    assert second.ask(asking(stream=stream)) is None
    assert second.responded.status == 200
    assert header_of(second.responded, "content-type") == ("text/event-stream" if stream else "application/json")
    assert b"retry budget" in second.delivered
    assert header_of(second.responded, "x-ironcage-refusal") == "retry_budget_exhausted"


def test_a_text_that_redaction_declines_is_refused_with_its_reason() -> None:
    exchange = driven(REQUEST)
    exchange.give(DetectionFailed(0, "a text of 9 bytes is too long. Send less."))
    exchange.give(Committed(0))
    assert json.loads(exchange.delivered)["error"] == {
        "message": "a text of 9 bytes is too long. Send less.", "type": "invalid_request_error", "param": None,
        "code": "sensitive_data_refused",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", f"/orders/find/{EMAIL}?x=1"])
def test_a_detector_that_always_fails_refuses_and_leaves_nothing_raw_in_the_record(path: str) -> None:
    exchange = Driven(hall(redactor=redactor(EmailDetector(RuntimeError("no")))), path, by_hand=True)
    exchange.give(REQUEST, DetectionFailed(0), Committed(0))
    assert header_of(exchange.responded, "x-ironcage-refusal") == "policy_failed"
    assert EMAIL not in repr(exchange.attempt)


# --- replies ---


def test_an_untouched_exchange_is_byte_for_byte_the_same() -> None:
    exchange = Driven(hall(*rules(allowed=["a"], max_retries=3, limit=10**6)))
    body = b' { "messages" : [ {"role":"user","content":"\\u0041 \\/ \xc3\xa9"} ] ,\n"model":"m","x":1.50 } '
    assert exchange.ask(body) == body
    reply = completion("hi").replace(b", ", b" ,\n")
    assert exchange.reply(reply) == reply
    attempt = exchange.attempt
    assert joined(attempt.request) == body and joined(attempt.reply) == reply and attempt.client_reply is None
    assert (attempt.end, attempt.status, attempt.request_bytes, attempt.reply_bytes) == (
        "complete", 200, len(body), len(reply),
    )  # fmt: skip


def test_a_streamed_reply_flows_part_by_part_and_its_last_part_waits_for_the_record() -> None:
    made = Driven(hall(), by_hand=True)
    made.give(RequestArrived((), asking(stream=True)), STREAMED)
    assert made.give(TEXT) == [SendPart(TEXT.data)]
    last = event({}, "stop") + DONE
    effects = made.give(ReplyPart(last, 0.3))
    assert [type(e) for e in effects] == [SendPart, Commit]
    assert effects[0] == SendPart(event({}, "stop"))
    assert made.give(Committed(0.4)) == [SendPart(DONE)]
    assert made.give(ReplyEnded(0.5)) == [EndReply()]


def test_a_length_that_may_change_is_not_announced() -> None:
    made = Driven(hall())
    made.ask(asking(stream=True))
    (began,) = made.give(
        ReplyBegan(200, (*STREAM, ("Content-Length", "99"), ("X-Ironcage-Refusal", "forged")), 0.1, 99)
    )
    assert isinstance(began, BeginReply)
    names = [name.lower() for name, _ in began.headers]
    assert "content-length" not in names and "x-ironcage-refusal" not in names and "x-ironcage-trajectory" in names


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_error_of_the_upstream_passes_as_it_is_and_counts_as_failed(status: int) -> None:
    exchange = Driven(hall())
    exchange.ask(asking())
    assert exchange.reply(b"any <b>words</b>", status) == b"any <b>words</b>"
    assert (exchange.responded.status, exchange.attempt.end) == (status, "failed")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"choices":[{"message":{"tool_calls":{}}}]}', b"\x1f\x8b\x08"]
)
def test_a_reply_that_cannot_be_judged_never_reaches_the_client(body: bytes) -> None:
    exchange = Driven(hall())
    exchange.ask(asking())
    exchange.reply(body)
    assert exchange.responded.status == 502
    assert json.loads(exchange.delivered)["error"]["code"] == "upstream_unreadable"
    assert exchange.attempt.end == "failed" and exchange.attempt.error is not None


@pytest.mark.parametrize(("kind", "status"), [("unreachable", 502), ("reset", 502), ("timeout", 504)])
def test_an_upstream_that_does_not_answer_is_a_native_error(kind: Any, status: int) -> None:
    exchange = Driven(hall())
    exchange.ask(asking())
    exchange.give(UpstreamFailed(kind, "why", 0.5))
    assert exchange.responded.status == status
    assert json.loads(exchange.delivered)["error"]["code"] == f"upstream_{kind}"
    assert header_of(exchange.responded, "x-should-retry") is None
    assert exchange.attempt.end == "failed" and exchange.attempt.error == f"{kind}: why"


@pytest.mark.parametrize(
    ("parts", "end"),
    [
        ((event({"content": "a"}), event({}, "stop"), DONE), "complete"),
        ((event({"content": "a"}), event({}, "stop")), "complete"),
        ((event({"content": "a"}),), "cut"),
        ((b'data: {"error":{"message":"overloaded"}}\n\n',), "failed"),
        ((event({"content": "a"}), b'data: {"error":{"message":"overloaded"}}\n\n', DONE), "failed"),
    ],
)
def test_a_stream_is_complete_only_if_it_says_so_and_tells_of_no_error(parts: tuple[bytes, ...], end: str) -> None:
    exchange = Driven(hall())
    exchange.ask(asking(stream=True))
    assert exchange.flow(*parts) == b"".join(parts)
    assert exchange.attempt.end == end


def test_a_stream_that_breaks_ends_with_the_formats_own_error_event() -> None:
    for breaking in (RESET, ReplyPart(b"data: {broken\n\n", 0.4)):
        exchange = Driven(hall())
        exchange.ask(asking(stream=True))
        exchange.give(STREAMED, TEXT, breaking)
        assert exchange.delivered.startswith(TEXT.data)
        error = json.loads(exchange.delivered.removeprefix(TEXT.data).removeprefix(b"data: "))
        assert error["error"]["code"] in ("upstream_reset", "upstream_unreadable")
        assert exchange.attempt.end == "cut" and isinstance(exchange.effects[-1], EndReply)


def test_a_budget_that_runs_out_cuts_the_stream_before_the_byte_that_is_too_much() -> None:
    body = asking(stream=True)
    exchange = Driven(hall(*rules(limit=len(body) + len(TEXT.data) + 10)))
    exchange.ask(body)
    exchange.give(STREAMED, TEXT, TEXT)
    assert exchange.delivered.count(b"hello") == 1 and b"egress_budget_exhausted" in exchange.delivered
    assert exchange.attempt.end == "refused" and exchange.attempt.verdicts[-1].action == "cut"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refused_call_is_text_for_the_client_and_a_call_in_the_record(streamed: bool) -> None:
    exchange = Driven(hall(*rules(allowed=["ok"])))
    exchange.ask(asking(stream=streamed))
    if streamed:
        call = {"tool_calls": [{"index": 0, "id": "c0", "function": {"name": "bad", "arguments": "{}"}}]}
        delivered = exchange.flow(event(call), event({}, "tool_calls"), DONE)
    else:
        delivered = exchange.reply(completion(None, (("c0", "bad", "{}"),)))
    attempt = exchange.attempt
    assert b'"tool_calls": null' in delivered and b"not on the allowlist" in delivered
    assert joined(attempt.client_reply) == delivered and b'"bad"' in joined(attempt.reply)
    assert attempt.answer is not None and attempt.answer.calls[0].name == "bad"
    assert [(n.action, n.code, n.subject) for n in attempt.verdicts] == [("refuse", "tool_not_allowed", "bad")]
    assert attempt.end == "complete"


@pytest.mark.parametrize("streamed", [False, True])
def test_what_cannot_be_written_down_is_not_delivered(streamed: bool) -> None:
    made = Driven(hall(), by_hand=True)
    made.give(RequestArrived((), asking(stream=streamed)))
    if streamed:
        made.give(STREAMED, TEXT, ReplyPart(event({}, "stop") + DONE, 0.2), CommitFailed(0.3))
        assert DONE not in made.delivered
        assert isinstance(made.effects[-1], EndReply)
    else:
        made.give(WHOLE, ReplyPart(completion("secret"), 0.2), ReplyEnded(0.3), CommitFailed(0.4))
        assert b"secret" not in made.delivered
        assert made.responded.status == 400
    assert b"recording_unavailable" in made.delivered


def test_masked_values_never_reach_the_upstream_or_the_record_and_come_back_to_the_client() -> None:
    exchange = Driven(hall(redactor=redactor()))
    forwarded = exchange.ask(asking(f"mail {EMAIL}"))
    assert forwarded is not None and EMAIL.encode() not in forwarded
    token = json.loads(forwarded)["messages"][0]["content"].removeprefix("mail ")
    delivered = exchange.reply(completion(f"mailed {token} and carol@example.org"))
    assert json.loads(delivered)["choices"][0]["message"]["content"] == f"mailed {EMAIL} and carol@example.org"
    assert EMAIL not in repr(exchange.attempt) and "carol@" not in repr(exchange.attempt)
    assert [(n.code, n.subject, n.count) for n in exchange.attempt.verdicts] == [
        ("masked", "EMAIL:1", 1), ("restored", "", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning", "something_new"])
def test_a_stream_with_personal_data_anywhere_is_not_recorded_raw(field: str) -> None:
    exchange = Driven(hall(redactor=redactor()))
    exchange.ask(asking(stream=True))
    parts = [event({field: piece}) for piece in ("to carol@exam", "ple.org")]
    assert exchange.flow(*parts, event({}, "stop"), DONE) == b"".join(parts) + event({}, "stop") + DONE
    recorded = joined(exchange.attempt.reply)
    assert b"carol@" not in recorded and b"ple.org" not in recorded


def test_names_that_others_chose_are_masked_in_the_record() -> None:
    exchange = Driven(hall(*rules(allowed=["ok"]), redactor=redactor()), f"/orders/customers/{EMAIL}", method="GET")
    exchange.ask(b"")
    assert exchange.attempt.end == "refused"
    assert EMAIL not in repr(exchange.attempt)


def test_a_verdict_is_told_with_its_rule() -> None:
    class No:
        name = "no"
        events = frozenset({BytesMoved})

        def judge(self, event: Event, ledger: Any) -> Verdict:
            return Refuse("time_budget_exhausted", "no", "Too late.", "x")

    exchange = Driven(hall(No()))
    assert exchange.ask(asking()) is None
    assert [(n.rule, n.code, n.message, n.subject) for n in exchange.attempt.verdicts] == [
        ("no", "time_budget_exhausted", "Too late.", "x"),
    ]  # fmt: skip
