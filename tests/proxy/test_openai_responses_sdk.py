"""The official openai client on OpenAI Responses, with the gateway between it and a scripted model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.support import responses as r
from tests.support.gateway import serve
from tests.support.scripted_model import Answer, ScriptedModel, scripted

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
DELETE = {**WEATHER, "name": "delete_all"}


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


def hello(asked: dict[str, Any]) -> Answer:
    return answered(asked, r.message("hello"))


async def test_a_forced_tool_and_a_stored_prompt_beyond_the_allowlist_are_refused(
    tmp_path: Path, client: Connect
) -> None:
    async with (
        scripted(hello) as model,
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
    async with scripted(hello) as model, house(tmp_path, model) as gw, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(gw.url("openai") + "/v1/responses")
        assert refused.value.status == 426
        assert model.paths == []
