"""Agents of the official SDKs in a loop of tools, through the gateway, on upstreams that take no broken story."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import httpx2
import openai
import pytest
from google import genai

from tests.support.gateway import joined, serve
from tests.support.scripted_model import Answer, scripted
from tests.support.strict import Item, Piece, Strict, call, say
from tests.support.strict_chat import StrictChat
from tests.support.strict_gemini import StrictGemini
from tests.support.strict_interactions import StrictInteractions
from tests.support.strict_messages import StrictMessages
from tests.support.strict_ollama import StrictOllama
from tests.support.strict_responses import StrictResponses, plain

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
TOOLS = ["ok", "bad"]
Ask = Callable[[list[Item], bool], Awaitable[list[Item]]]
Agent = Callable[[str, AsyncExitStack], Ask]


def chat(url: str, stack: AsyncExitStack) -> Ask:
    sdk = openai.AsyncOpenAI(api_key="k", base_url=url + "/v1", max_retries=0)
    stack.push_async_callback(sdk.close)
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]

    async def ask(messages: list[Item], streamed: bool) -> list[Item]:
        given: Any = messages
        if not streamed:
            made = await sdk.chat.completions.create(model="m", messages=given, tools=tools)
            return [made.choices[0].message.to_dict()]
        async with sdk.chat.completions.stream(model="m", messages=given, tools=tools) as events:
            async for _ in events:
                pass
            message = (await events.get_final_completion()).choices[0].message.to_dict()
        for one in message.get("tool_calls") or ():  # type: ignore[attr-defined]
            one["function"].pop("parsed_arguments", None)
        message.pop("parsed", None)
        return [message]

    return ask


def responses(url: str, stack: AsyncExitStack) -> Ask:
    sdk = openai.AsyncOpenAI(api_key="k", base_url=url + "/v1", max_retries=0)
    stack.push_async_callback(sdk.close)
    tools: Any = [{"type": "function", "name": n, "parameters": {"type": "object"}, "strict": False} for n in TOOLS]

    async def ask(items: list[Item], streamed: bool) -> list[Item]:
        given: Any = items
        if not streamed:
            made: Any = await sdk.responses.create(model="m", input=given, tools=tools)
        else:
            async with sdk.responses.stream(model="m", input=given, tools=tools) as events:
                async for _ in events:
                    pass
                made = await events.get_final_response()
        return [plain(item.to_dict()) for item in made.output]

    return ask


def messages(url: str, stack: AsyncExitStack) -> Ask:
    sdk = anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0)
    stack.push_async_callback(sdk.close)
    tools: Any = [{"name": name, "input_schema": {"type": "object"}} for name in TOOLS]

    async def ask(items: list[Item], streamed: bool) -> list[Item]:
        asked: Any = {"model": "m", "max_tokens": 64, "messages": items, "tools": tools}
        if not streamed:
            made = await sdk.messages.create(**asked)
        else:
            async with sdk.messages.stream(**asked) as events:
                made = await events.get_final_message()
        return [{"role": "assistant", "content": [block.to_dict() for block in made.content]}]

    return ask


def _genai(url: str, stack: AsyncExitStack) -> Any:
    http = httpx2.AsyncClient()  # what it makes by itself warns of its own class
    made = genai.Client(api_key="k", http_options={"base_url": url, "httpx_async_client": http})  # type: ignore[arg-type]
    stack.push_async_callback(http.aclose)
    stack.push_async_callback(made.aio.aclose)
    return made.aio


def gemini(url: str, stack: AsyncExitStack) -> Ask:
    sdk = _genai(url, stack)
    config = {
        "tools": [{"function_declarations": [{"name": name} for name in TOOLS]}],
        "automatic_function_calling": {"disable": True},
    }

    async def ask(contents: list[Item], streamed: bool) -> list[Item]:
        if not streamed:
            replies = [await sdk.models.generate_content(model="m", contents=contents, config=config)]
        else:
            stream = await sdk.models.generate_content_stream(model="m", contents=contents, config=config)
            replies = [reply async for reply in stream]
        found = [reply.candidates[0].content for reply in replies]
        return [content.model_dump(mode="json", by_alias=True, exclude_none=True) for content in found]

    return ask


def interactions(url: str, stack: AsyncExitStack) -> Ask:
    sdk = _genai(url, stack)
    tools = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in TOOLS]
    strict = StrictInteractions()

    async def ask(steps: list[Item], streamed: bool) -> list[Item]:
        if not streamed:
            made = await sdk.interactions.create(model="m", input=steps, tools=tools)
            return [step.model_dump(mode="json", exclude_none=True) for step in made.steps]
        events = await sdk.interactions.create(model="m", input=steps, tools=tools, stream=True)
        told = [event.model_dump(mode="json", exclude_none=True) async for event in events]
        return strict.got(b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told), streamed=True)

    return ask


def ollama(url: str, stack: AsyncExitStack) -> Ask:
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]

    async def ask(items: list[Item], streamed: bool) -> list[Item]:
        asked = {"model": "m", "messages": items, "tools": tools, "stream": streamed}
        async with aiohttp.ClientSession() as http, http.post(url + "/api/chat", json=asked) as reply:
            assert reply.status == 200, await reply.text()
            return StrictOllama().got(await reply.read(), streamed=streamed)

    return ask


AGENTS: dict[str, tuple[Agent, Callable[[], Strict], str]] = {
    "chat": (chat, StrictChat, "text/event-stream"),
    "responses": (responses, StrictResponses, "text/event-stream"),
    "messages": (messages, StrictMessages, "text/event-stream"),
    "gemini": (gemini, StrictGemini, "text/event-stream"),
    "interactions": (interactions, StrictInteractions, "text/event-stream"),
    "ollama": (ollama, StrictOllama, "application/x-ndjson"),
}
FORMATS = pytest.mark.parametrize("name", AGENTS)
SAID: list[list[Piece]] = [
    [say("So."), call("ok", n=1), call("bad", where="/"), call("ok", n=2)],
    [call("bad", where="/tmp")],
    [call("bad"), call("ok", n=3)],
    [say("Done.")],
]


@asynccontextmanager
async def held(strict: Strict, kind: str, streamed: bool, tmp_path: Path, **more: Any) -> AsyncIterator[Any]:
    """The gateway before a strict upstream that says `SAID`, one after the other."""
    left = iter(SAID)

    def answer(asked: dict[str, Any]) -> Answer:
        problem = strict.problem(asked)
        if problem is not None:
            return Answer(json.dumps({"error": {"message": problem}}).encode(), status=400)
        said = strict.said(asked, next(left))
        return Answer(strict.stream(said), kind, parts=40) if streamed else Answer(strict.whole(said))

    limits = {"constraints": {"allowed_tools": ["ok"]}, **more}
    async with scripted(answer) as model, serve(tmp_path, upstreams={"up": {"base_url": model.url}}, **limits) as gw:
        yield model, gw


async def looped(ask: Ask, strict: Strict, streamed: bool, ask_for: str = "Clean up.") -> list[Item]:
    """A task of an agent: whatever it may call it calls, and where nothing is left to call, its user goes on."""
    history = [strict.user(ask_for)]
    for _ in SAID:
        got = await ask(history, streamed)
        history += got
        results = strict.results(strict.calls(got))
        history += results or [strict.user("Go on.")]
    return history


@FORMATS
@STREAMED
async def test_an_agent_works_on_after_refused_calls_and_the_upstream_sees_its_own_words(
    tmp_path: Path, name: str, streamed: bool
) -> None:
    agent, make, kind = AGENTS[name]
    session = "s1" if streamed else ""  # found again by its name, or by what it holds
    strict = make()
    async with held(strict, kind, streamed, tmp_path) as (model, gw), AsyncExitStack() as stack:
        history = await looped(agent(gw.url("up", session), stack), strict, streamed)
    assert len(model.asked) == len(gw.attempts) == 4
    assert "bad" in json.dumps(history)
    assert len({attempt.trajectory for attempt in gw.attempts}) == 1
    assert [joined(attempt.request) for attempt in gw.attempts] == model.asked
    assert [attempt.extra.get("put_back") for attempt in gw.attempts] == [None, "1", "1", "1"]
    first, last = gw.attempts[0], gw.attempts[-1]
    assert b"not on the allowlist" in joined(first.client_reply) and b"allowlist" not in joined(first.reply)
    assert joined(last.request).count(b"not on the allowlist") == 3
    assert last.client_reply is None


@pytest.mark.parametrize("name", ["chat", "messages"])
async def test_values_and_calls_come_back_together(tmp_path: Path, name: str) -> None:
    """What the client has of a turn differs by a restored value, too: the upstream gets its pseudonym again."""
    person = "jane.roe@clinic-example.org"
    agent, make, _ = AGENTS[name]
    strict = make()

    def answer(asked: dict[str, Any]) -> Answer:
        assert strict.problem(asked) is None
        token = asked["messages"][0]["content"].split()[-1]
        pieces = [say(f"To {token}."), call("bad", to=token), call("ok", to=token)]
        return Answer(strict.whole(strict.said(asked, pieces if len(asked["messages"]) == 1 else [say("Done.")])))

    limits: dict[str, Any] = {"constraints": {"allowed_tools": ["ok"]}, "policies": {"redaction": {"types": ["EMAIL"]}}}
    async with (
        scripted(answer) as model,
        serve(tmp_path, upstreams={"up": {"base_url": model.url}}, **limits) as gw,
        AsyncExitStack() as stack,
    ):
        ask = agent(gw.url("up", ""), stack)
        history = [strict.user(f"Write to {person}")]
        got = await ask(history, False)
        assert json.dumps(got).count(person) == 2  # in the text, and in the call that is left
        history += [*got, *strict.results(strict.calls(got))]
        await ask(history, False)
    assert all(person.encode() not in body for body in model.asked)
    token = json.loads(model.asked[0])["messages"][0]["content"].split()[-1]
    assert model.asked[1].count(token.encode()) == 4
    assert gw.attempts[1].extra["put_back"] == "1"


async def test_a_history_that_nobody_remembers_goes_out_as_it_comes(tmp_path: Path) -> None:
    strict = StrictChat()
    async with held(strict, "text/event-stream", False, tmp_path) as (model, gw), AsyncExitStack() as stack:
        history = [strict.user("Clean up."), *await chat(gw.url("up", "s1"), stack)([strict.user("Clean up.")], False)]
        history += [*strict.results(strict.calls(history[1:])), strict.user("Go on.")]
    async with held(strict, "text/event-stream", False, tmp_path) as (model, gw), AsyncExitStack() as stack:
        await chat(gw.url("up", "s1"), stack)(history, False)
        assert json.loads(model.asked[0])["messages"] == history
        assert "put_back" not in gw.attempts[0].extra
