"""The official google-genai client on both of Gemini's APIs, with the gateway between it and a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
from google import genai
from google.genai import types

from tests.support.dialects import gemini_reply
from tests.support.gateway import joined, serve
from tests.support.scripted_model import Answer, ScriptedModel, scripted

ASK = "Weather in Oslo and Rome?"
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
Connect = Callable[..., Any]


@pytest.fixture
async def client() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        def connect(url: str) -> Any:
            http = httpx2.AsyncClient()  # what it makes by itself warns of its own class
            options = types.HttpOptions(base_url=url, api_version="v1beta", httpx_async_client=http)
            made = genai.Client(api_key="AIza-agent", http_options=options)
            stack.push_async_callback(http.aclose)
            stack.push_async_callback(made.aio.aclose)
            stack.callback(made.close)
            return made.aio

        yield connect


def house(tmp_path: Path, model: ScriptedModel, **settings: Any) -> Any:
    return serve(tmp_path, upstreams={"gemini": {"base_url": model.url, **settings.pop("upstream", {})}}, **settings)


def tools(*names: str) -> list[Any]:
    return [
        types.Tool(function_declarations=[types.FunctionDeclaration(name=n, parameters_json_schema={"type": "object"})])
        for n in names
    ]


def config(*names: str, **more: Any) -> Any:
    off = types.AutomaticFunctionCallingConfig(disable=True)
    return types.GenerateContentConfig(tools=tools(*names), automatic_function_calling=off, **more)


class Gemini:
    """Says the same parts to everybody, in the way that it is asked for; streams come in pieces that are no events."""

    def __init__(self, *parts: dict[str, Any], array: bool = False) -> None:
        self.parts, self.array, self.streamed = list(parts), array, False

    def __call__(self, asked: dict[str, Any]) -> Answer:
        if not self.streamed:
            return Answer(json.dumps(gemini_reply(self.parts, "STOP")).encode())
        told = [gemini_reply([part]) for part in self.parts] + [gemini_reply([{"text": ""}], "STOP")]
        if self.array:
            return Answer(json.dumps(told, indent=1).encode(), parts=40)
        events = b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in told)
        return Answer(events, "text/event-stream", parts=40)


def call(name: str, call_id: str, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "id": call_id, "args": args}}


async def ask(sdk: Any, *, streamed: bool, contents: Any, config: Any = None) -> list[types.Part]:
    """All parts that the client was given."""
    request = {"model": "gemini-x", "contents": contents, "config": config}
    if streamed:
        replies = [reply async for reply in await sdk.models.generate_content_stream(**request)]
    else:
        replies = [await sdk.models.generate_content(**request)]
    assert replies[-1].usage_metadata.total_token_count == 6
    assert replies[-1].candidates[0].finish_reason == types.FinishReason.STOP
    return [part for reply in replies for part in reply.candidates[0].content.parts]


@STREAMED
async def test_a_refused_call_reaches_the_agent_as_text_and_no_tool_is_offered(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    gemini = Gemini(call("delete_all", "c1", where="/") | {"thoughtSignature": "c2ln"}, call("weather", "c2"))
    gemini.streamed = streamed
    async with (
        scripted(gemini) as model,
        house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as served,
    ):
        asked = config("weather", "delete_all")
        asked.tools.append(types.Tool(google_search=types.GoogleSearch()))
        parts = await ask(client(served.url("gemini")), streamed=streamed, contents=ASK, config=asked)
        assert '"delete_all" was called, and it is not on the allowlist' in (parts[0].text or "")
        assert parts[0].thought_signature == b"sig"
        assert [part.function_call.name for part in parts if part.function_call] == ["weather"]
        again = types.Content(role="model", parts=parts)
        assert json.loads(again.model_dump_json(exclude_none=True))["parts"][1]["thought_signature"] == (
            "skip_thought_signature_validator"
        )
        sent = json.loads(model.asked[0])["tools"]
        assert [d["name"] for tool in sent for d in tool["functionDeclarations"]] == ["weather"]
        (attempt,) = served.attempts
        assert [note.action for note in attempt.verdicts] == ["rewrite", "refuse"]
        assert b"delete_all" in joined(attempt.reply)
        assert b'"functionCall": {"name": "delete_all"' not in joined(attempt.client_reply)


@pytest.mark.parametrize("kind", ["api_key", "query"])
async def test_keys_reach_the_upstream_and_nothing_that_is_kept(tmp_path: Path, kind: str) -> None:
    gemini = Gemini({"text": "hi"})
    async with scripted(gemini) as model, house(tmp_path, model) as served, aiohttp.ClientSession() as http:
        url = f"{served.url('gemini')}/v1beta/models/gemini-x:generateContent"
        body = {"contents": [{"parts": [{"text": "x"}]}]}
        options: dict[str, Any] = {"headers": {"x-goog-api-key": "AIza-secret"}}
        if kind == "query":
            options = {"params": {"key": "AIza-secret", "prettyPrint": "false"}}
        async with http.post(url, json=body, **options) as reply:
            assert reply.status == 200
        assert ("AIza-secret" in model.paths[0]) is (kind == "query")
        async with http.get(f"{served.url('gemini')}/v1beta/models?key=AIza-secret") as reply:
            assert await reply.read()
        first, second = served.attempts
        assert first.path.endswith("?key=***&prettyPrint=false" if kind == "query" else ":generateContent")
        assert second.path.endswith("/models?key=***")
        assert "AIza-secret" not in repr(served.attempts)


async def test_the_proxys_own_key_takes_the_place_of_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_GEMINI_KEY", "AIza-house")
    gemini = Gemini({"text": "hi"})
    async with (
        scripted(gemini) as model,
        house(tmp_path, model, upstream={"api_key_env": "TEST_GEMINI_KEY"}) as served,
        aiohttp.ClientSession() as http,
    ):
        url = f"{served.url('gemini')}/v1beta/models/gemini-x:generateContent?key=AIza-agent&x=1"
        async with http.post(url, json={"contents": [{"parts": [{"text": "x"}]}]}) as reply:
            assert reply.status == 200
        assert model.paths == ["POST /v1beta/models/gemini-x:generateContent?x=1"]


async def test_a_stream_without_alt_sse_is_judged_object_by_object(tmp_path: Path) -> None:
    gemini = Gemini({"text": "ok "}, call("delete_all", "c1"), call("weather", "c2"), array=True)
    gemini.streamed = True
    async with (
        scripted(gemini) as model,
        house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as served,
        aiohttp.ClientSession() as http,
    ):
        url = f"{served.url('gemini')}/v1beta/models/gemini-x:streamGenerateContent"
        async with http.post(url, json={"contents": [{"parts": [{"text": "x"}]}]}) as reply:
            told = json.loads(await reply.read())
        assert reply.headers["content-type"].startswith("application/json")
        parts = [part for one in told for part in one["candidates"][0]["content"]["parts"]]
        assert [list(part) for part in parts] == [["text"], ["text"], ["functionCall"], ["text"]]
        (attempt,) = served.attempts
        assert (attempt.streamed, attempt.end, attempt.first_byte_s is not None) == (True, "complete", True)


async def test_an_interaction_in_the_background_or_fetched_later_is_refused(tmp_path: Path, client: Connect) -> None:
    async with scripted(Gemini()) as model, house(tmp_path, model) as served:
        with pytest.raises(Exception, match="'background' would bring the reply past ironcage"):
            await client(served.url("gemini")).interactions.create(model="gemini-x", input="x", background=True)
        async with aiohttp.ClientSession() as http, http.get(f"{served.url('gemini')}/v1/interactions/i1") as reply:
            assert reply.status == 400
            assert reply.headers["x-ironcage-refusal"] == "route_refused"
        assert not model.asked
