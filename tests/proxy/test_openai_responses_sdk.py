"""The official openai client on OpenAI Responses, with the gateway between it and a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.support import responses as r
from tests.support.gateway import joined, serve
from tests.support.scripted_model import Answer, ScriptedModel, scripted
from trajectory.record import Attempt

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
DELETE = {**WEATHER, "name": "delete_all"}
PERSON = "jane.roe@clinic-example.org"
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def answered(asked: dict[str, Any], *output: r.Item, **more: Any) -> Answer:
    """What a model says, in the way that it was asked for; streams come in pieces that are no events."""
    if asked.get("stream"):
        return Answer(r.stream(*output, **more), "text/event-stream; charset=utf-8", parts=50)
    return Answer(r.body(*output, **more))


Connect = Callable[..., openai.AsyncOpenAI]


@pytest.fixture
async def client() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:
        made: list[openai.AsyncOpenAI] = []

        def connect(url: str, **options: Any) -> openai.AsyncOpenAI:
            made.append(openai.AsyncOpenAI(api_key="k", base_url=url + "/v1", **{"max_retries": 0, **options}))
            stack.push_async_callback(made[-1].close)
            return made[-1]

        yield connect


def house(tmp_path: Path, model: ScriptedModel, **settings: Any) -> Any:
    return serve(tmp_path, upstreams={"openai": {"base_url": model.url}}, **settings)


async def ask(sdk: openai.AsyncOpenAI, *, streamed: bool, **request: Any) -> Any:
    """The final response; of a stream, what the client's own accumulator makes of it."""
    request = {"model": "m-1", **request}
    if not streamed:
        return await sdk.responses.create(**request)
    async with sdk.responses.stream(**request) as events:
        async for _ in events:
            pass
        return await events.get_final_response()


def only(attempts: list[Attempt]) -> Attempt:
    (attempt,) = attempts
    return attempt


def two_cities(asked: dict[str, Any]) -> Answer:
    if any(item.get("type") == "function_call_output" for item in asked["input"]):
        return answered(asked, r.message("Oslo 4, Rome 19."))
    oslo = r.function("weather", '{"city":"Oslo"}', id="fc_1", call_id="call_1")
    rome = r.function("weather", '{"city":"Rome"}', id="fc_2", call_id="call_2")
    return answered(asked, r.reasoning(), oslo, rome)


@STREAMED
async def test_an_agent_with_parallel_calls_works_as_without_the_gateway(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    async with scripted(two_cities) as model, house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as gw:
        said = []
        for url in (model.url, gw.url("openai", "")):
            sdk = client(url)
            turns: list[Any] = [{"role": "user", "content": "Weather in Oslo and Rome?"}]
            first = await ask(sdk, streamed=streamed, input=turns, tools=[WEATHER])
            calls = [item for item in first.output if item.type == "function_call"]
            assert [json.loads(call.arguments) for call in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
            turns += [item.to_dict() for item in first.output]
            turns += [{"type": "function_call_output", "call_id": c.call_id, "output": "4"} for c in calls]
            said.append((await ask(sdk, streamed=streamed, input=turns, tools=[WEATHER])).output_text)
        assert said == ["Oslo 4, Rome 19."] * 2
        assert model.asked[:2] == model.asked[2:]
        assert [joined(a.request) for a in gw.attempts] == model.asked[2:]
        assert len({a.trajectory for a in gw.attempts}) == 1
        assert [a.answer.finish for a in gw.attempts if a.answer] == ["tool_call", "end"]
        if streamed:
            assert joined(gw.attempts[1].reply) == r.stream(r.message("Oslo 4, Rome 19."))


@STREAMED
async def test_a_refused_call_reaches_the_agent_as_text_and_no_tool_is_offered(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def unruly(asked: dict[str, Any]) -> Answer:
        return answered(asked, r.function("delete_all", '{"where":"/"}'), r.function("weather"))

    async with scripted(unruly) as model, house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as gw:
        tools = [DELETE, WEATHER, {"type": "web_search"}]
        final = await ask(client(gw.url("openai")), streamed=streamed, input="Go.", tools=tools)
        assert [item.type for item in final.output] == ["message", "function_call"]
        assert '"delete_all" was called, and it is not on the allowlist' in final.output_text
        assert [tool["name"] for tool in json.loads(model.asked[0])["tools"]] == ["weather"]
        attempt = only(gw.attempts)
        assert [(v.action, v.code) for v in attempt.verdicts] == [
            ("rewrite", "tool_not_allowed"), ("refuse", "tool_not_allowed"),
        ]  # fmt: skip
        assert attempt.answer is not None
        assert [c.name for c in attempt.answer.calls] == ["delete_all", "weather"]
        assert b"delete_all" in joined(attempt.reply)


async def test_a_forced_tool_and_a_stored_prompt_beyond_the_allowlist_are_refused(
    tmp_path: Path, client: Connect
) -> None:
    async with (
        scripted(two_cities) as model,
        house(tmp_path, model, constraints={"allowed_tools": ["weather", "prompt.pmpt_1"]}) as gw,
    ):
        sdk = client(gw.url("openai"))
        for request in (
            {"tools": [DELETE], "tool_choice": {"type": "function", "name": "delete_all"}},
            {"prompt": {"id": "pmpt_2"}},
            {"background": True},
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                await sdk.responses.create(model="m-1", input="x", **request)
            code = "unreadable_body" if "background" in request else "tool_not_allowed"
            assert (refused.value.code, refused.value.response.headers["x-should-retry"]) == (code, "false")
        assert model.asked == []
        await sdk.responses.create(model="m-1", input=[], prompt={"id": "pmpt_1"})
        assert len(model.asked) == 1


@STREAMED
async def test_a_masked_value_comes_back_in_text_and_arguments(tmp_path: Path, client: Connect, streamed: bool) -> None:
    def echo(asked: dict[str, Any]) -> Answer:
        token = asked["input"].split()[-1]
        assert token.startswith("PII_EMAIL_")
        return answered(asked, r.message(f"To {token}."), r.function("mail", json.dumps({"to": token})))

    async with scripted(echo) as model, house(tmp_path, model, policies={"redaction": {"types": ["EMAIL"]}}) as gw:
        final = await ask(client(gw.url("openai")), streamed=streamed, input=f"Write to {PERSON}")
        assert final.output_text == f"To {PERSON}."
        assert json.loads(final.output[1].arguments) == {"to": PERSON}
        assert PERSON.encode() not in model.asked[0]
        attempt = only(gw.attempts)
        assert PERSON.encode() not in joined(attempt.request) + joined(attempt.reply)
        assert {v.code: v.count for v in attempt.verdicts} == {"masked": 1, "restored": 2}


def rate_limited(times: int) -> Callable[[dict[str, Any]], Answer]:
    left = [times]

    def answer(asked: dict[str, Any]) -> Answer:
        left[0] -= 1
        if left[0] >= 0:
            error = {"error": {"message": "slow down", "type": "x", "param": None, "code": "rate_limit_exceeded"}}
            return Answer(json.dumps(error).encode(), status=429, headers=(("retry-after-ms", "1"),))
        return answered(asked, r.message("fine"))

    return answer


@STREAMED
async def test_a_429_is_passed_on_and_repeated_within_the_budget(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    async with scripted(rate_limited(1)) as model, house(tmp_path, model, constraints={"max_retries": 1}) as gw:
        final = await ask(client(gw.url("openai"), max_retries=4), streamed=streamed, input="x")
        assert final.output_text == "fine"
        (step,) = gw.steps()
        assert [(a.number, a.status, a.end) for a in step.attempts] == [(1, 429, "failed"), (2, 200, "complete")]
        assert len(model.asked) == 2


@STREAMED
async def test_a_spent_retry_budget_stops_the_client(tmp_path: Path, client: Connect, streamed: bool) -> None:
    async with scripted(rate_limited(9)) as model, house(tmp_path, model, constraints={"max_retries": 1}) as gw:
        with pytest.raises(openai.BadRequestError) as refused:
            await ask(client(gw.url("openai"), max_retries=4), streamed=streamed, input="x")
        assert refused.value.code == "retry_budget_exhausted"
        assert len(model.asked) == 2


@STREAMED
async def test_a_spent_retry_budget_may_end_in_a_message(tmp_path: Path, client: Connect, streamed: bool) -> None:
    settings = {"policies": {"retries": {"on_exhausted": "final_message"}}, "constraints": {"max_retries": 0}}
    async with scripted(rate_limited(9)) as model, house(tmp_path, model, **settings) as gw:
        final = await ask(client(gw.url("openai"), max_retries=4), streamed=streamed, input="x")
        assert "retries were made" in final.output_text
        assert len(model.asked) == 1


async def test_a_stream_over_the_egress_budget_ends_in_an_error_that_the_client_raises(
    tmp_path: Path, client: Connect
) -> None:
    def long(asked: dict[str, Any]) -> Answer:
        return answered(asked, r.message("x" * 400_000), piece=50_000)

    limit = {"network_egress_limit_mb": 1}
    async with scripted(long) as model, house(tmp_path, model, constraints=limit) as gw:
        events = await client(gw.url("openai")).responses.create(model="m-1", input="x", stream=True)
        with pytest.raises(openai.APIError) as raised:
            async for _ in events:
                pass
        assert raised.value.code == "egress_budget_exhausted"
        assert only(gw.attempts).end == "refused"


async def test_requests_that_go_on_from_a_reply_or_a_conversation_stay_in_its_trajectory(
    tmp_path: Path, client: Connect
) -> None:
    numbers = iter(range(100))

    def numbered(asked: dict[str, Any]) -> Answer:
        if "stream" not in asked:
            return Answer(b'{"object":"response.input_tokens","input_tokens":11}')
        return answered(asked, r.message("hi"), id=f"resp_{next(numbers)}")

    async with scripted(numbered) as model, house(tmp_path, model) as gw:
        sdk = client(gw.url("openai", ""))
        first = await ask(sdk, streamed=True, input="a")
        second = await sdk.responses.create(model="m-1", input="b", previous_response_id=first.id, stream=False)
        await ask(sdk, streamed=True, input="c", previous_response_id=second.id)
        for text in ("d", "e"):
            await sdk.responses.create(model="m-1", input=text, conversation="conv_1", stream=False)
        chain, conversation = [a.trajectory for a in gw.attempts[:3]], [a.trajectory for a in gw.attempts[3:]]
        assert len(set(chain)) == len(set(conversation)) == 1
        assert set(chain) != set(conversation)

        # a count beside the conversation takes nothing of it over
        turns: list[Any] = [{"role": "user", "content": "f"}]
        turns.append((await sdk.responses.create(model="m-1", input=turns, stream=False)).output[0].to_dict())
        turns.append({"role": "user", "content": "g"})
        counted = await sdk.responses.input_tokens.count(model="m-1", input=turns)
        assert counted.input_tokens == 11
        await sdk.responses.create(model="m-1", input=turns, stream=False)
        assert gw.attempts[5].trajectory == gw.attempts[7].trajectory
        assert gw.attempts[6].answer is not None and gw.attempts[6].answer.usage is not None
        assert gw.attempts[6].answer.usage.input_tokens == 11


async def test_stored_responses_are_served_only_where_the_configuration_says_so(
    tmp_path: Path, client: Connect
) -> None:
    upstreams = {
        "shut": {"base_url": ""},
        "open": {"base_url": "", "allow_paths": ["GET /v1/responses/*", "POST /v1/responses/compact"]},
    }
    async with scripted(lambda asked: answered(asked, r.message("stored"))) as model:
        for upstream in upstreams.values():
            upstream["base_url"] = model.url
        async with serve(tmp_path, upstreams=upstreams) as gw:
            shut, opened = client(gw.url("shut")), client(gw.url("open"))
            for attempt in (
                shut.responses.retrieve("resp_1"), shut.responses.delete("resp_1"), shut.responses.cancel("resp_1"),
                shut.responses.compact(model="m-1", input="x"), opened.responses.delete("resp_1"),
                shut.conversations.create(),
            ):  # fmt: skip
                with pytest.raises(openai.APIStatusError) as refused:
                    await attempt
                assert refused.value.response.headers["x-ironcage-refusal"] == "route_refused"
            assert model.asked == []
            assert (await opened.responses.retrieve("resp_1")).output_text == "stored"
            await opened.responses.compact(model="m-1", input="x")
            assert model.paths == ["GET /v1/responses/resp_1", "POST /v1/responses/compact"]


async def test_a_websocket_is_told_to_come_back_by_plain_http(tmp_path: Path) -> None:
    async with scripted(two_cities) as model, house(tmp_path, model) as gw, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(gw.url("openai") + "/v1/responses")
        assert refused.value.status == 426
        assert model.paths == []
