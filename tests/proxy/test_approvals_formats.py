"""Calls that wait for people in streams of each format, however they are cut; and where replies are not edited."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.answers import keep_alive
from proxy.arrivals import Headers, ReplyBegan, ReplyEnded, ReplyPart
from proxy.exchange_states import State
from proxy.wire import holding
from proxy.wire.eventstream import encoded
from tests.support import anthropic_sdk, genai_sdk, openai_sdk
from tests.support.approving import ALLOWED, DENIED, decide, house, questions
from tests.support.driving import JSON, STREAM, Driven
from tests.support.parity.format import Call, ModelFormat
from tests.support.parity.formats import MODEL_FORMATS

FREE, PAY = Call("free", '{"x": "anything"}'), Call("pay", '{"to": "acme", "note": "PRIVATE"}')
every_format = pytest.mark.parametrize("form", MODEL_FORMATS, ids=lambda form: form.name)
ROOTS = {"Messages": "/anthropic", "Gemini": "/gemini", "Interactions": "/gemini"}


def begun(form: ModelFormat) -> Driven:
    exchange = Driven(house(), ROOTS.get(form.name, "/openai") + form.streams_at)
    exchange.ask(form.body("hi", tools=("free", "pay"), streamed=True))
    return exchange


def asked(form: ModelFormat, *parts: bytes) -> Driven:
    exchange = begun(form)
    exchange.flow(*parts)
    return exchange


@every_format
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_however_a_stream_is_cut_the_same_is_asked_and_the_same_passes(form: ModelFormat, data: st.DataObject) -> None:
    events = form.stream("Let me pay.", calls=(FREE, PAY, FREE))
    stream = b"".join(events)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(stream) - 1), max_size=12, unique=True)))
    exchange = asked(form, *(stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)))
    assert [one.arguments for one in questions(exchange)] == ['{"note":"PRIVATE","to":"acme"}']
    before = exchange.delivered
    assert b"PRIVATE" not in before and stream.startswith(before) and b"pay." in before
    assert decide(exchange, ALLOWED) == stream


@every_format
def test_a_denied_call_leaves_a_stream_that_its_client_understands(form: ModelFormat) -> None:
    exchange = asked(form, *form.stream("Let me pay.", calls=(PAY, FREE)))
    told = form.understood(decide(exchange, DENIED), streamed=True)
    assert told.calls == (("free", {"x": "anything"}),) and not told.error
    assert told.text.startswith("Let me pay.") and "bob has denied it: not on a Friday" in told.text


@every_format
def test_a_call_that_breaks_off_is_not_asked_about(form: ModelFormat) -> None:
    stream = b"".join(form.stream("Let me pay.", calls=(PAY,)))
    exchange = asked(form, stream[: stream.index(b"PRIV")])
    assert questions(exchange) == [] and b"acme" not in exchange.delivered
    assert exchange.attempt.end == "cut"


@pytest.mark.parametrize("form", MODEL_FORMATS[1:], ids=lambda form: form.name)  # a chat's call ends with the next one
def test_what_is_too_long_to_be_held_is_asked_about_before_it_is_all_there(
    form: ModelFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MAX_HELD_BYTES", 2000)
    parts = form.stream(
        "Let me pay.", calls=(PAY, Call("free", json.dumps({"x": "y" * 3000})), Call("functions.pay", "{}"))
    )
    exchange = begun(form)
    exchange.give(ReplyBegan(200, STREAM, 0.1))
    said: list[int] = []
    for at, part in enumerate(parts):
        exchange.give(ReplyPart(part, 0.2))
        if exchange.exchange.state is State.ASKING:
            said.append(at)
            decide(exchange, ALLOWED)
    if exchange.exchange.state is State.FLOWING:
        exchange.give(ReplyEnded(0.3))
        decide(exchange, ALLOWED)
    assert [one.arguments for one in questions(exchange)] == ['{"note":"PRIVATE","to":"acme"}', "{}"]
    assert said[0] < len(parts) - 2 and exchange.delivered == b"".join(parts)


BEDROCK_TYPE: Headers = (("Content-Type", "application/vnd.amazon.eventstream"),)


def frame(kind: str, **payload: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encoded(headers, json.dumps(payload).encode())


def bedrock(verb: str) -> Driven:
    exchange = Driven(house(), f"/openai/model/m/{verb}")
    exchange.ask(json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}).encode())
    return exchange


USES = [{"toolUseId": f"u{n}", "name": "pay", "input": {"n": n}} for n in (1, 2)]


def test_a_reply_that_is_not_edited_passes_where_all_of_it_is_allowed() -> None:
    message = {"role": "assistant", "content": [{"toolUse": use} for use in USES]}
    body = json.dumps({"output": {"message": message}, "stopReason": "tool_use"}).encode()
    for last, passes in ((ALLOWED, True), (DENIED, False)):
        exchange = bedrock("converse")
        exchange.reply(body)
        assert decide(exchange, ALLOWED) == b"" and len(questions(exchange)) == 2  # it asks as far as it reads
        got = decide(exchange, last)
        assert (got == body) is passes
        assert passes or (exchange.responded.status == 400 and b"has denied it" in got and b"toolUse" not in got)


@pytest.mark.parametrize("said", [ALLOWED, DENIED])
def test_neither_is_such_a_stream(said: Any) -> None:
    start = {"toolUse": {"toolUseId": "u1", "name": "pay"}}
    frames = [
        frame("messageStart", role="assistant"),
        frame("contentBlockStart", contentBlockIndex=0, start=start),
        frame("contentBlockDelta", contentBlockIndex=0, delta={"toolUse": {"input": '{"to": "acme"}'}}),
        frame("contentBlockStop", contentBlockIndex=0),
        frame("messageStop", stopReason="tool_use"),
        frame("metadata", usage={}, metrics={}),
    ]
    exchange = bedrock("converse-stream")
    exchange.flow(*frames, headers=BEDROCK_TYPE)
    assert len(questions(exchange)) == 1 and exchange.delivered == frames[0]
    got = decide(exchange, said)
    assert got == b"".join(frames) if said is ALLOWED else b"acme" not in got and b"has denied it" in got


@pytest.mark.parametrize("said", [ALLOWED, DENIED])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_calls_of_ollama_wait(streamed: bool, said: Any) -> None:
    calls = [{"function": {"name": "pay", "arguments": {"to": "acme"}}}]
    line = {"model": "q", "message": {"role": "assistant", "content": "", "tool_calls": calls}, "done": not streamed}
    end = {"model": "q", "message": {"role": "assistant", "content": ""}, "done": True}
    body = json.dumps(line).encode() + (b"\n" + json.dumps(end).encode() + b"\n" if streamed else b"")
    exchange = Driven(house(), "/openai/api/chat")
    asking = {"model": "q", "messages": [{"role": "user", "content": "hi"}], "stream": streamed}
    exchange.ask(json.dumps(asking).encode())
    exchange.flow(body, headers=(("Content-Type", "application/x-ndjson"),)) if streamed else exchange.reply(
        body, headers=JSON
    )
    assert len(questions(exchange)) == 1 and b"acme" not in exchange.delivered
    got = decide(exchange, said)
    assert got == body if said is ALLOWED else b"acme" not in got and b"has denied it" in got


def responses(stream: bytes) -> list[Any]:
    made = openai_sdk.client(stream, "text/event-stream")
    return list(made.responses.create(model="m", input="hi", stream=True))


def messages(stream: bytes) -> list[Any]:
    made = anthropic_sdk.client(stream, "text/event-stream")
    return list(made.messages.create(**anthropic_sdk.ASKED, stream=True))


def gemini(stream: bytes) -> list[Any]:
    return [reply.candidates for reply in genai_sdk.chunks(stream)]  # beside them: the headers, with the length


READERS: dict[str, tuple[str, Any]] = {
    "chat": ("openai.chat", openai_sdk.chunks),
    "Responses": ("openai.responses", responses),
    "Messages": ("anthropic.messages", messages),
    "Gemini": ("gemini.generate", gemini),
    "Interactions": ("gemini.interactions", genai_sdk.streamed_interaction),
}


@every_format
def test_official_clients_pass_over_the_sign_of_life_wherever_it_stands(form: ModelFormat) -> None:
    wire, read = READERS[form.name]
    said = keep_alive(wire, STREAM)
    events = form.stream("Let me pay.", calls=(PAY,))
    plain = read(b"".join(events))
    assert plain and read(b"".join(event + said * 2 for event in events)) == plain


def test_no_sign_of_life_where_the_format_has_none() -> None:
    assert keep_alive("ollama.chat", (("Content-Type", "application/x-ndjson"),)) == b""
    assert keep_alive("gemini.generate", JSON) == b"" and keep_alive("bedrock.converse", BEDROCK_TYPE) == b""
