"""The official anthropic client on Anthropic Messages, with the gateway between it and a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from tests.support import anthropic_events as e
from tests.support.dialects import DIALECTS, Call, Says
from tests.support.gateway import serve
from tests.support.scripted_model import Answer, ScriptedModel, scripted
from trajectory.record import Attempt

WEATHER = {"name": "weather", "input_schema": {"type": "object"}}
DELETE = {**WEATHER, "name": "delete_all"}
SEARCH = {"type": "web_search_20260209", "name": "web_search"}
PERSON = "jane.roe@clinic-example.org"
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def answered(asked: dict[str, Any], said: Says) -> Answer:
    return DIALECTS["messages"].answer(said, streamed=bool(asked.get("stream")))


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


@STREAMED
async def test_an_agent_goes_on_after_a_refused_call_in_the_same_trajectory(
    tmp_path: Path, client: Connect, streamed: bool
) -> None:
    def unruly(asked: dict[str, Any]) -> Answer:
        is_first = len(asked["messages"]) == 1
        return answered(asked, Says("Well.", (Call("delete_all", {}),)) if is_first else Says("ok"))

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
    async with (
        scripted(lambda asked: answered(asked, Says("hi"))) as model,
        house(tmp_path, model, constraints={"allowed_tools": ["weather"]}) as gw,
    ):
        sdk = client(gw.url("anthropic"), max_retries=3)
        choice = {"type": "tool", "name": "delete_all"}
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            await ask(sdk, streamed=False, tools=[DELETE], tool_choice=choice)
        body: Any = refused.value.body
        assert (body["error"]["type"], body["error"]["details"]["code"]) == ("permission_error", "tool_not_allowed")
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert model.asked == []


async def test_a_masked_conversation_repeats_the_upstreams_own_bytes_in_every_turn(
    tmp_path: Path, client: Connect
) -> None:
    def echo(asked: dict[str, Any]) -> Answer:
        token = asked["messages"][0]["content"].split()[-1]
        said = Says("Done.") if len(asked["messages"]) > 1 else Says(calls=(Call("mail", {"name": token}),))
        return answered(asked, replace(said, thought=f"write to {token}"))

    async with scripted(echo) as model, house(tmp_path, model, policies={"redaction": {"types": ["EMAIL"]}}) as gw:
        sdk = client(gw.url("anthropic"))
        turns: list[Any] = [{"role": "user", "content": f"Write to {PERSON}"}]
        first = await ask(sdk, streamed=False, messages=turns)
        assert first.content[1].input == {"name": PERSON}
        turns += [{"role": "assistant", "content": [b.to_dict() for b in first.content]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_0_0",
                                                "content": f"sent to {PERSON}"}]}]  # fmt: skip
        await ask(sdk, streamed=False, messages=turns)
        assert all(PERSON.encode() not in body for body in model.asked)
        before, after = (json.loads(body)["messages"] for body in model.asked)
        assert after[0] == before[0]
        token = before[0]["content"].split()[-1]
        assert after[1]["content"][0] == {"type": "thinking", "thinking": f"write to {token}", "signature": "EqQB"}
        assert after[1]["content"][1]["input"] == {"name": token}


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
        return answered(asked, Says("hi")) if "max_tokens" in asked else Answer(b'{"input_tokens":11}')

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
