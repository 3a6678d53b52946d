"""The official anthropic client on Anthropic Messages, with the gateway between it and a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from tests.support import anthropic_events as e
from tests.support.gateway import joined, serve
from tests.support.scripted_model import Answer, ScriptedModel, scripted
from trajectory.record import Attempt

WEATHER = {"name": "weather", "input_schema": {"type": "object"}}
DELETE = {**WEATHER, "name": "delete_all"}
SEARCH = {"type": "web_search_20260209", "name": "web_search"}
PERSON = "jane.roe@clinic-example.org"
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
Block = dict[str, Any]


def said(text: str) -> Block:
    return {"type": "text", "text": text}


def use(name: str, call_id: str = "toolu_1", /, **arguments: Any) -> Block:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def streamed_block(index: int, block: Block) -> bytes:
    """Its text and arguments in pieces of seven characters."""
    if block["type"] == "text":
        return e.text(index, *(block["text"][i : i + 7] for i in range(0, len(block["text"]), 7)))
    if block["type"] == "thinking":
        return e.thinking(index, block["thinking"])
    arguments = json.dumps(block["input"])
    pieces = [arguments[i : i + 7] for i in range(0, len(arguments), 7)]
    return e.call(index, block["name"], *pieces, id=block["id"])


def answered(asked: dict[str, Any], *blocks: Block) -> Answer:
    """What a model says, in the way that it was asked for; streams come in pieces that are no events."""
    stop = "tool_use" if any(b["type"] == "tool_use" for b in blocks) else "end_turn"
    if asked.get("stream"):
        body = e.begun() + b"".join(streamed_block(i, b) for i, b in enumerate(blocks)) + e.ended(stop)
        return Answer(body, "text/event-stream; charset=utf-8", parts=50)
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": blocks}
    return Answer(json.dumps({**message, "stop_reason": stop, "stop_sequence": None, "usage": e.USAGE}).encode())


Connect = Callable[..., anthropic.AsyncAnthropic]


@pytest.fixture
async def client() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        def connect(url: str, **options: Any) -> anthropic.AsyncAnthropic:
            made = anthropic.AsyncAnthropic(api_key="k", base_url=url, **{"max_retries": 0, **options})
            stack.push_async_callback(made.close)
            return made

        yield connect


def house(tmp_path: Path, model: ScriptedModel, **settings: Any) -> Any:
    return serve(tmp_path, upstreams={"anthropic": {"base_url": model.url}}, **settings)


async def ask(sdk: anthropic.AsyncAnthropic, *, streamed: bool, messages: Any = "hi", **more: Any) -> Any:
    """The message; of a stream, what the client's own accumulator makes of it."""
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    request = {"model": "m-1", "max_tokens": 99, "messages": turns, **more}
    if not streamed:
        return await sdk.messages.create(**request)
    async with sdk.messages.stream(**request) as events:
        async for _ in events:
            pass
        return await events.get_final_message()


def only(attempts: list[Attempt]) -> Attempt:
    (attempt,) = attempts
    return attempt


def two_cities(asked: dict[str, Any]) -> Answer:
    if len(asked["messages"]) > 1:
        return answered(asked, said("Oslo 4, Rome 19."))
    thought = {"type": "thinking", "thinking": "two cities", "signature": "EqQB"}
    return answered(asked, thought, use("weather", city="Oslo"), use("weather", "toolu_2", city="Rome"))


@STREAMED
async def test_an_agent_with_parallel_calls_works_as_without_the_gateway(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    async with scripted(two_cities) as model, house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as gw:
        last = []
        for url in (model.url, gw.url("anthropic", "")):
            sdk = client(url)
            turns: list[Any] = [{"role": "user", "content": "Weather in Oslo and Rome?"}]
            first = await ask(sdk, streamed=streamed, messages=turns, tools=[WEATHER])
            calls = [block for block in first.content if block.type == "tool_use"]
            assert [call.input for call in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
            assert (first.content[0].signature, first.stop_reason) == ("EqQB", "tool_use")
            turns.append({"role": "assistant", "content": [block.to_dict() for block in first.content]})
            results = [{"type": "tool_result", "tool_use_id": c.id, "content": "4"} for c in calls]
            turns.append({"role": "user", "content": results})
            last.append((await ask(sdk, streamed=streamed, messages=turns, tools=[WEATHER])).content[0].text)
        assert last == ["Oslo 4, Rome 19."] * 2
        assert model.asked[:2] == model.asked[2:]
        assert [joined(a.request) for a in gw.attempts] == model.asked[2:]
        assert len({a.trajectory for a in gw.attempts}) == 1
        assert [a.answer.finish for a in gw.attempts if a.answer] == ["tool_call", "end"]
        assert all(a.client_reply is None and not a.verdicts for a in gw.attempts)


@STREAMED
async def test_a_refused_call_reaches_the_agent_as_text_and_no_tool_is_offered(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def unruly(asked: dict[str, Any]) -> Answer:
        return answered(asked, use("delete_all", where="/"), use("weather", "toolu_2"))

    async with scripted(unruly) as model, house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as gw:
        message = await ask(client(gw.url("anthropic")), streamed=streamed, tools=[DELETE, WEATHER, SEARCH])
        assert [block.type for block in message.content] == ["text", "tool_use"]
        assert '"delete_all" was called, and it is not on the allowlist' in message.content[0].text
        assert message.stop_reason == "tool_use"
        assert json.loads(model.asked[0])["tools"] == [WEATHER]
        attempt = only(gw.attempts)
        assert [(v.action, v.code) for v in attempt.verdicts] == [
            ("rewrite", "tool_not_allowed"), ("refuse", "tool_not_allowed"),
        ]  # fmt: skip
        assert attempt.answer is not None
        assert [c.name for c in attempt.answer.calls] == ["delete_all", "weather"]
        assert b"delete_all" in joined(attempt.reply)


@STREAMED
async def test_an_agent_goes_on_after_a_refused_call_in_the_same_trajectory(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def unruly(asked: dict[str, Any]) -> Answer:
        return answered(asked, *([said("Well."), use("delete_all")] if len(asked["messages"]) == 1 else [said("ok")]))

    async with scripted(unruly) as model, house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as gw:
        sdk = client(gw.url("anthropic", ""))
        turns: list[Any] = [{"role": "user", "content": "Go."}]
        first = await ask(sdk, streamed=streamed, messages=turns)
        assert first.stop_reason == "end_turn"
        turns += [{"role": "assistant", "content": [b.to_dict() for b in first.content]},
                  {"role": "user", "content": "And?"}]  # fmt: skip
        assert (await ask(sdk, streamed=streamed, messages=turns)).content[0].text == "ok"
        assert len({a.trajectory for a in gw.attempts}) == 1


async def test_a_forced_tool_beyond_the_allowlist_is_refused_with_the_formats_own_error(
    tmp_path: Path, client: Connect
) -> None:
    async with scripted(two_cities) as model, house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as gw:
        sdk = client(gw.url("anthropic"), max_retries=3)
        choice = {"type": "tool", "name": "delete_all"}
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            await ask(sdk, streamed=False, tools=[DELETE], tool_choice=choice)
        body: Any = refused.value.body
        assert (body["error"]["type"], body["error"]["details"]["code"]) == ("permission_error", "tool_not_allowed")
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert model.asked == []


@STREAMED
async def test_a_masked_value_comes_back_in_text_and_arguments(tmp_path: Path, client: Connect, streamed: bool) -> None:
    def echo(asked: dict[str, Any]) -> Answer:
        token = asked["messages"][-1]["content"].split()[-1]
        assert token.startswith("PII_EMAIL_")
        return answered(asked, said(f"To {token}."), use("mail", to=token, name=token))

    async with scripted(echo) as model, house(tmp_path, model, policies={"redaction": {"types": ["EMAIL"]}}) as gw:
        message = await ask(client(gw.url("anthropic")), streamed=streamed, messages=f"Write to {PERSON}")
        assert message.content[0].text == f"To {PERSON}."
        assert message.content[1].input == {"to": PERSON, "name": PERSON}
        assert PERSON.encode() not in model.asked[0]
        attempt = only(gw.attempts)
        assert PERSON.encode() not in joined(attempt.request) + joined(attempt.reply)
        assert {v.code: v.count for v in attempt.verdicts} == {"masked": 1, "restored": 3}


async def test_a_masked_conversation_repeats_the_upstreams_own_bytes_in_every_turn(
    tmp_path: Path, client: Connect
) -> None:
    def echo(asked: dict[str, Any]) -> Answer:
        token = asked["messages"][0]["content"].split()[-1]
        thought = {"type": "thinking", "thinking": f"write to {token}", "signature": "EqQB"}
        return answered(asked, thought, said("Done.") if len(asked["messages"]) > 1 else use("mail", name=token))

    async with scripted(echo) as model, house(tmp_path, model, policies={"redaction": {"types": ["EMAIL"]}}) as gw:
        sdk = client(gw.url("anthropic"))
        turns: list[Any] = [{"role": "user", "content": f"Write to {PERSON}"}]
        first = await ask(sdk, streamed=False, messages=turns)
        assert first.content[1].input == {"name": PERSON}
        turns += [{"role": "assistant", "content": [b.to_dict() for b in first.content]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1",
                                                "content": f"sent to {PERSON}"}]}]  # fmt: skip
        await ask(sdk, streamed=False, messages=turns)
        assert all(PERSON.encode() not in body for body in model.asked)
        before, after = (json.loads(body)["messages"] for body in model.asked)
        assert after[0] == before[0]
        token = before[0]["content"].split()[-1]
        assert after[1]["content"][0] == {"type": "thinking", "thinking": f"write to {token}", "signature": "EqQB"}
        assert after[1]["content"][1]["input"] == {"name": token}


def rate_limited(times: int) -> Callable[[dict[str, Any]], Answer]:
    left = [times]

    def answer(asked: dict[str, Any]) -> Answer:
        left[0] -= 1
        if left[0] >= 0:
            error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
            return Answer(json.dumps(error).encode(), status=429, headers=(("retry-after-ms", "1"),))
        return answered(asked, said("fine"))

    return answer


@STREAMED
async def test_a_429_is_passed_on_and_repeated_within_the_budget(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    async with scripted(rate_limited(1)) as model, house(tmp_path, model, constraints={"max_retries": 1}) as gw:
        message = await ask(client(gw.url("anthropic"), max_retries=4), streamed=streamed)
        assert message.content[0].text == "fine"
        (step,) = gw.steps()
        assert [(a.number, a.status, a.end) for a in step.attempts] == [(1, 429, "failed"), (2, 200, "complete")]
        assert len(model.asked) == 2


@STREAMED
async def test_a_spent_retry_budget_stops_the_client(tmp_path: Path, client: Connect, streamed: bool) -> None:
    async with scripted(rate_limited(9)) as model, house(tmp_path, model, constraints={"max_retries": 1}) as gw:
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            await ask(client(gw.url("anthropic"), max_retries=4), streamed=streamed)
        assert refused.value.response.headers["x-ironcage-refusal"] == "retry_budget_exhausted"
        assert len(model.asked) == 2


@STREAMED
async def test_a_spent_retry_budget_may_end_in_a_message(tmp_path: Path, client: Connect, streamed: bool) -> None:
    settings = {"policies": {"retries": {"on_exhausted": "final_message"}}, "constraints": {"max_retries": 0}}
    async with scripted(rate_limited(9)) as model, house(tmp_path, model, **settings) as gw:
        message = await ask(client(gw.url("anthropic"), max_retries=4), streamed=streamed)
        assert "retries were made" in message.content[0].text
        assert message.stop_reason == "end_turn"
        assert len(model.asked) == 1


async def test_a_stream_over_the_egress_budget_ends_in_an_error_that_the_client_raises(
    tmp_path: Path, client: Connect
) -> None:
    limit = {"network_egress_limit_mb": 1}
    async with (
        scripted(lambda asked: answered(asked, said("x" * 400_000))) as model,
        house(tmp_path, model, constraints=limit) as gw,
    ):
        with pytest.raises(anthropic.APIStatusError, match="egress budget"):
            await ask(client(gw.url("anthropic")), streamed=True)
        assert only(gw.attempts).end == "refused"


async def test_an_error_within_a_stream_reaches_the_client_and_is_no_success(tmp_path: Path, client: Connect) -> None:
    failing = e.begun() + e.text(0, "so far") + e.ev("error", error={"type": "overloaded_error", "message": "busy"})
    async with (
        scripted(lambda _: Answer(failing, "text/event-stream")) as model,
        house(tmp_path, model) as gw,
    ):
        with pytest.raises(anthropic.APIStatusError, match="busy"):
            await ask(client(gw.url("anthropic")), streamed=True)
        attempt = only(gw.attempts)
        assert attempt.end != "complete"
        assert attempt.answer is not None
        assert (attempt.answer.text, attempt.answer.finish) == ("so far", "error")


async def test_counting_obeys_the_rules_and_takes_nothing_of_the_conversation_over(
    tmp_path: Path, client: Connect
) -> None:
    def counted(asked: dict[str, Any]) -> Answer:
        return answered(asked, said("hi")) if "max_tokens" in asked else Answer(b'{"input_tokens":11}')

    settings = {"constraints": {"allowed_tools": ["weather"]}, "policies": {"redaction": {"types": ["EMAIL"]}}}
    async with scripted(counted) as model, house(tmp_path, model, **settings) as gw:
        sdk = client(gw.url("anthropic", ""))
        turns: list[Any] = [{"role": "user", "content": f"I am {PERSON}"}]
        turns.append({"role": "assistant", "content": (await ask(sdk, streamed=False, messages=turns)).content[0].text})
        turns.append({"role": "user", "content": "so?"})
        tokens = await sdk.messages.count_tokens(model="m-1", messages=turns, tools=[WEATHER, SEARCH])
        assert tokens.input_tokens == 11
        await ask(sdk, streamed=False, messages=turns)
        assert json.loads(model.asked[1])["tools"] == [WEATHER]
        assert PERSON.encode() not in b"".join(model.asked)
        assert gw.attempts[0].trajectory == gw.attempts[2].trajectory
        with pytest.raises(anthropic.PermissionDeniedError):
            choice: Any = {"type": "tool", "name": "x"}
            await sdk.messages.count_tokens(model="m-1", messages=turns, tool_choice=choice)


async def test_batches_are_refused_unless_the_configuration_allows_them(tmp_path: Path, client: Connect) -> None:
    request: Any = {"custom_id": "a", "params": {"model": "m", "max_tokens": 1, "messages": []}}
    upstreams = {"shut": {"base_url": ""}, "open": {"base_url": "", "allow_paths": ["POST /v1/messages/batches"]}}
    async with scripted(lambda _: Answer(b'{"id":"b","type":"message_batch"}')) as model:
        for upstream in upstreams.values():
            upstream["base_url"] = model.url
        async with serve(tmp_path, upstreams=upstreams) as gw:
            with pytest.raises(anthropic.APIStatusError) as refused:
                await client(gw.url("shut")).messages.batches.create(requests=[request])
            assert refused.value.response.headers["x-ironcage-refusal"] == "route_refused"
            assert model.asked == []
            assert (await client(gw.url("open")).messages.batches.create(requests=[request])).id == "b"


async def test_what_clients_look_up_before_they_ask_is_let_through(tmp_path: Path, client: Connect) -> None:
    model_info = b'{"id":"m-1","type":"model","display_name":"M","created_at":"2026-01-01T00:00:00Z"}'
    answers = [Answer(model_info), Answer(b"")]
    async with (
        scripted(lambda _: answers.pop(0)) as model,
        house(tmp_path, model) as gw,
        aiohttp.ClientSession() as session,
    ):
        assert (await client(gw.url("anthropic")).models.retrieve("m-1")).id == "m-1"
        async with session.head(gw.url("anthropic") + "/api/hello") as hello:  # as Claude Code does
            assert hello.status == 200
        assert model.paths == ["GET /v1/models/m-1", "HEAD /api/hello"]


async def test_the_proxys_own_key_goes_out_as_anthropic_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELD_KEY", "k")
    upstreams = {"anthropic": {"base_url": "http://127.0.0.1:1", "api_key_env": "HELD_KEY"}}
    async with serve(tmp_path, upstreams=upstreams) as gw:
        assert gw.doors.gateway.keys == {"anthropic": ("x-api-key", "k")}
