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
from google.genai import errors, types

from tests.support.gateway import joined, serve
from tests.support.scripted_model import Answer, ScriptedModel, scripted

PERSON = "jane.roe@clinic-example.org"
USAGE = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}
ASK = "Weather in Oslo and Rome?"
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
Connect = Callable[..., Any]


@pytest.fixture
async def client() -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        def connect(url: str, attempts: int = 1) -> Any:
            retries = types.HttpRetryOptions(attempts=attempts, initial_delay=0.001, max_delay=0.001, jitter=0)
            http = httpx2.AsyncClient()  # what it makes by itself warns of its own class
            options = types.HttpOptions(
                base_url=url, api_version="v1beta", retry_options=retries, httpx_async_client=http
            )
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

    def __init__(self, *parts: dict[str, Any], status: int = 200, array: bool = False) -> None:
        self.parts, self.status, self.array, self.streamed = parts, status, array, False

    def __call__(self, asked: dict[str, Any]) -> Answer:
        if self.status != 200:
            error = {"error": {"code": self.status, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
            return Answer(json.dumps(error).encode(), status=self.status)
        answers = [part for content in asked.get("contents", []) for part in content["parts"]]
        done = any("functionResponse" in part or "function_response" in part for part in answers)
        parts = [{"text": "Done."}] if done else list(self.parts)
        if not self.streamed:
            return Answer(json.dumps(self._reply(parts, finish="STOP")).encode())
        told = [self._reply([part]) for part in parts] + [self._reply([{"text": ""}], finish="STOP")]
        if self.array:
            return Answer(json.dumps(told, indent=1).encode(), parts=40)
        events = b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in told)
        return Answer(events, "text/event-stream", parts=40)

    def _reply(self, parts: list[Any], finish: str | None = None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish is not None:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-x", "responseId": "r1"}


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
async def test_an_agent_with_parallel_calls_works_as_without_the_gateway(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    gemini = Gemini(
        {"text": "I think.", "thought": True},
        call("weather", "c1", city="Oslo") | {"thoughtSignature": "c2ln"},
        call("weather", "c2", city="Rome"),
    )
    gemini.streamed = streamed
    limits = {"allowed_tools": ["weather"]}
    async with scripted(gemini) as model, house(tmp_path, model, constraints=limits) as served:
        said = []
        for url in (model.url, served.url("gemini", "")):
            sdk = client(url)
            parts = await ask(sdk, streamed=streamed, contents=ASK, config=config("weather"))
            calls = [part.function_call for part in parts if part.function_call]
            assert [c.args for c in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
            answers = [
                types.Part(function_response=types.FunctionResponse(id=c.id, name=c.name, response={"output": "4"}))
                for c in calls
            ]
            turns = [
                types.Content(role="user", parts=[types.Part(text=ASK)]),
                types.Content(role="model", parts=[part for part in parts if part.text != ""]),
                types.Content(role="user", parts=answers),
            ]
            final = await ask(sdk, streamed=streamed, contents=turns, config=config("weather"))
            said.append("".join(part.text or "" for part in final))
        assert said == ["Done.", "Done."]
        assert model.asked[:2] == model.asked[2:]
        assert [joined(a.request) for a in served.attempts] == model.asked[2:]
        assert len({a.trajectory for a in served.attempts}) == 1
        assert [a.answer.finish for a in served.attempts if a.answer] == ["tool_call", "end"]
        assert [a.model for a in served.attempts] == ["gemini-x"] * 2
        assert [a.streamed for a in served.attempts] == [streamed] * 2


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


@STREAMED
async def test_a_person_is_a_pseudonym_upstream_and_herself_to_the_agent(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def echo(asked: dict[str, Any]) -> Answer:
        token = asked["contents"][0]["parts"][0]["text"].split()[-1]
        gemini = Gemini(*({"text": c} for c in f"Hi {token}!"), call("mail", "c1", to=token))
        gemini.streamed = streamed
        return gemini(asked)

    async with scripted(echo) as model, house(tmp_path, model, policies={"redaction": {}}) as served:
        parts = await ask(
            client(served.url("gemini")), streamed=streamed, contents=f"Write to {PERSON}", config=config("mail")
        )
        assert "".join(part.text or "" for part in parts) == f"Hi {PERSON}!"
        assert [part.function_call.args for part in parts if part.function_call] == [{"to": PERSON}]
        assert PERSON.encode() not in model.asked[0]
        (attempt,) = served.attempts
        for written in (attempt.request, attempt.reply, attempt.client_reply):
            assert PERSON.encode() not in joined(written)


@STREAMED
async def test_an_upstreams_error_and_a_spent_retry_budget_end_the_client(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    async with (
        scripted(Gemini(status=429)) as model,
        house(tmp_path, model, constraints={"max_retries": 1}) as served,
    ):
        sdk = client(served.url("gemini"), attempts=5)
        with pytest.raises(errors.ClientError, match="retry budget of this trajectory is spent") as caught:
            await ask(sdk, streamed=streamed, contents=ASK)
        assert caught.value.code == 400
        assert caught.value.details["error"]["details"][0]["reason"] == "retry_budget_exhausted"
        assert len(model.asked) == 2
        assert [a.status for a in served.attempts] == [429, 429, 400]


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


def interaction(asked: dict[str, Any], *steps: dict[str, Any]) -> Answer:
    calls = any(step["type"] == "function_call" for step in steps)
    whole = {"id": "i1", "model": "gemini-x", "status": "requires_action" if calls else "completed"}
    usage = {"total_input_tokens": 4, "total_output_tokens": 2, "total_tokens": 6}
    if not asked.get("stream"):
        return Answer(json.dumps({**whole, "steps": steps, "usage": usage}).encode())
    told: list[dict[str, Any]] = [{"event_type": "interaction.created", "interaction": {**whole, "status": "queued"}}]
    for index, step in enumerate(steps):
        start = {**step, "arguments": {}} if step["type"] == "function_call" else {"type": step["type"]}
        told.append({"event_type": "step.start", "index": index, "step": start})
        text = json.dumps(step["arguments"]) if calls else step["content"][0]["text"]
        for piece in text:
            delta = {"type": "arguments_delta", "arguments": piece} if calls else {"type": "text", "text": piece}
            told.append({"event_type": "step.delta", "index": index, "delta": delta})
        told.append({"event_type": "step.stop", "index": index})
    told.append({"event_type": "interaction.status_update", "interaction_id": "i1", "status": whole["status"]})
    told.append({"event_type": "interaction.completed", "interaction": {**whole, "usage": usage}})
    events = "".join(f"event: {one['event_type']}\ndata: {json.dumps(one)}\n\n" for one in told)
    return Answer(events.encode() + b"event: done\ndata: [DONE]\n\n", "text/event-stream", parts=60)


def function(name: str, call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": call_id, "name": name, "arguments": arguments}


def declared(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in names]


async def interact(sdk: Any, *, streamed: bool, **request: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Text, calls and status, as the client tells them."""
    made = await sdk.interactions.create(model="gemini-x", stream=streamed, **request)
    if not streamed:
        calls = [(step.name, step.arguments) for step in made.steps if step.type == "function_call"]
        return made.output_text, calls, made.status
    text, names, arguments, status = "", {}, {}, ""
    async for event in made:
        if event.event_type == "step.start" and event.step.type == "function_call":
            names[event.index] = event.step.name
        elif event.event_type == "step.delta" and event.delta.type == "arguments_delta":
            arguments[event.index] = arguments.get(event.index, "") + event.delta.arguments
        elif event.event_type == "step.delta":
            text += event.delta.text
        elif event.event_type == "interaction.completed":
            status = event.interaction.status
    return text, [(names[i], json.loads(arguments[i])) for i in names], status


@STREAMED
async def test_interactions_work_with_parallel_calls_and_server_state(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def model_says(asked: dict[str, Any]) -> Answer:
        if asked.get("previous_interaction_id") == "i1":
            return interaction(asked, {"type": "model_output", "content": [{"type": "text", "text": "Done."}]})
        return interaction(asked, function("weather", "c1", city="Oslo"), function("weather", "c2", city="Rome"))

    async with scripted(model_says) as model, house(tmp_path, model) as served:
        for url in (model.url, served.url("gemini", "")):
            sdk = client(url)
            _, calls, status = await interact(sdk, streamed=streamed, input=ASK, tools=declared("weather"))
            assert calls == [("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})]
            assert status == "requires_action"
            results = [
                {"type": "function_result", "call_id": c, "name": "weather", "result": "4"} for c in ("c1", "c2")
            ]
            said = await interact(sdk, streamed=streamed, input=results, previous_interaction_id="i1")
            assert said == ("Done.", [], "completed")
        assert model.asked[:2] == model.asked[2:]
        assert len({a.trajectory for a in served.attempts}) == 1
        assert [a.answer.usage.input_tokens for a in served.attempts if a.answer and a.answer.usage] == [4, 4]


@STREAMED
async def test_an_interactions_calls_are_refused_and_its_values_restored(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def model_says(asked: dict[str, Any]) -> Answer:
        token = asked["input"].split()[-1]
        return interaction(asked, function("delete_all", "c1"), function("mail", "c2", to=token))

    settings = {"constraints": {"allowed_tools": ["mail"]}, "policies": {"redaction": {}}}
    async with scripted(model_says) as model, house(tmp_path, model, **settings) as served:
        offered = [*declared("mail", "delete_all"), {"type": "google_search"}]
        text, calls, status = await interact(
            client(served.url("gemini")), streamed=streamed, input=f"Write to {PERSON}", tools=offered
        )
        assert '"delete_all" was called, and it is not on the allowlist' in text or not streamed
        assert calls == [("mail", {"to": PERSON})]
        assert status == "requires_action"
        assert [tool["name"] for tool in json.loads(model.asked[0])["tools"]] == ["mail"]
        assert PERSON.encode() not in model.asked[0]
        assert PERSON not in repr(served.attempts)


@STREAMED
async def test_an_interactions_background_and_spent_retries_are_refused(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def busy(asked: dict[str, Any]) -> Answer:
        error = {"error": {"code": "rate_limit_exceeded", "message": "slow down"}}
        return Answer(json.dumps(error).encode(), status=429)

    async with scripted(busy) as model, house(tmp_path, model, constraints={"max_retries": 1}) as served:
        sdk = client(served.url("gemini"))
        with pytest.raises(Exception, match="'background' would bring the reply past ironcage"):
            await sdk.interactions.create(model="gemini-x", input="x", background=True)
        assert not model.asked
        said = []
        for _ in range(3):
            with pytest.raises(Exception, match=r"slow down|retry budget") as caught:
                await interact(sdk, streamed=streamed, input="x")
            said.append(str(caught.value))
        assert len(model.asked) == 2
        assert "retry budget of this trajectory is spent" in said[2]
        assert served.attempts[-1].status == 400
        async with aiohttp.ClientSession() as http, http.get(f"{served.url('gemini')}/v1/interactions/i1") as reply:
            assert reply.status == 400
            assert reply.headers["x-ironcage-refusal"] == "route_refused"
