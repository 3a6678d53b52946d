"""The official python clients as small agents: a turn is asked for, its calls are answered, until there are none.

A `Talk` asks for the next turn with the results of the calls before it; each client's has the conversation inside.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import anthropic
import httpx2
import openai
from google import genai
from google.genai import types
from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig

Told = dict[str, Any]
"""See Cell.told."""
Turn = dict[str, Any]
"""text, calls as {id, name, arguments}, and finish in the client's own words."""
Talk = Callable[[list[dict[str, Any]]], Awaitable[Turn]]
Client = Callable[[Told, httpx2.AsyncClient], Talk]
RETRIES = 4


async def lived_through(client: Client, told: list[Told]) -> dict[str, dict[str, Any]]:
    """By cell: the turns that the client saw, and what it raised in the end if it did. All cells run side by side."""
    async with httpx2.AsyncClient() as http:  # one for all: each costs a tenth of a second to make
        seen = await asyncio.gather(*(_one(client(cell, http), cell) for cell in told))
    return {cell["cell"]: one for cell, one in zip(told, seen, strict=True)}


async def _one(talk: Talk, cell: Told) -> dict[str, Any]:
    turns: list[Turn] = []
    results: list[dict[str, Any]] = []
    try:
        while not turns or turns[-1]["calls"]:
            turns.append(await talk(results))
            results = [{**call, "result": result_of(cell, call)} for call in turns[-1]["calls"]]
    except Exception as e:  # whatever this client raises
        status = getattr(e, "status_code", None) or getattr(e, "code", None)
        return {"turns": turns, "error": {"status": status, "message": f"{e} {getattr(e, 'body', '')}"}}
    return {"turns": turns, "error": None}


def result_of(cell: Told, call: dict[str, Any]) -> str:
    return f"[{cell['cell']}] done: {' '.join(call['arguments'].values())}"


def turn(text: str | None, calls: list[tuple[str, str, Any]], finish: Any) -> Turn:
    named = [
        {"id": i, "name": name, "arguments": json.loads(given) if isinstance(given, str) else given}
        for i, name, given in calls
    ]
    return {"text": text or "", "calls": named, "finish": finish}


def openai_talk(cell: Told, http: httpx2.AsyncClient) -> Talk:
    sdk = openai.AsyncOpenAI(api_key="k", base_url=cell["base_url"], max_retries=RETRIES, http_client=http)
    return _chat(sdk, cell) if cell["dialect"] == "chat" else _responses(sdk, cell)


def _chat(sdk: openai.AsyncOpenAI, cell: Told) -> Talk:
    messages: list[Any] = [{"role": "user", "content": cell["prompt"]}]
    tools: Any = [{"type": "function", "function": {**tool, "strict": True}} for tool in cell["tools"]]

    async def talk(results: list[dict[str, Any]]) -> Turn:
        messages.extend({"role": "tool", "tool_call_id": x["id"], "content": x["result"]} for x in results)
        request: Any = {"model": "m-1", "messages": messages, "tools": tools}
        if cell["streamed"]:
            async with sdk.chat.completions.stream(**request) as events:
                async for _ in events:
                    pass
                got: Any = await events.get_final_completion()
        else:
            got = await sdk.chat.completions.create(**request)
        (choice,) = got.choices
        messages.append(choice.message.to_dict())
        calls = [(x.id, x.function.name, x.function.arguments) for x in choice.message.tool_calls or ()]
        return turn(choice.message.content, calls, choice.finish_reason)

    return talk


def _responses(sdk: openai.AsyncOpenAI, cell: Told) -> Talk:
    items: list[Any] = [{"role": "user", "content": cell["prompt"]}]
    tools: Any = [{"type": "function", **tool, "strict": True} for tool in cell["tools"]]

    async def talk(results: list[dict[str, Any]]) -> Turn:
        items.extend({"type": "function_call_output", "call_id": x["id"], "output": x["result"]} for x in results)
        request: Any = {"model": "m-1", "input": items, "tools": tools}
        if cell["streamed"]:
            async with sdk.responses.stream(**request) as events:
                async for _ in events:
                    pass
                got: Any = await events.get_final_response()
        else:
            got = await sdk.responses.create(**request)
        items.extend(item.to_dict() for item in got.output)
        calls = [(x.call_id, x.name, x.arguments) for x in got.output if x.type == "function_call"]
        return turn(got.output_text, calls, got.status)

    return talk


def anthropic_talk(cell: Told, http: httpx2.AsyncClient) -> Talk:
    sdk = anthropic.AsyncAnthropic(api_key="k", base_url=cell["base_url"], max_retries=RETRIES, http_client=http)
    messages: list[Any] = [{"role": "user", "content": cell["prompt"]}]
    tools: Any = [{"name": tool["name"], "input_schema": tool["parameters"]} for tool in cell["tools"]]

    async def talk(results: list[dict[str, Any]]) -> Turn:
        if results:
            blocks = [{"type": "tool_result", "tool_use_id": x["id"], "content": x["result"]} for x in results]
            messages.append({"role": "user", "content": blocks})
        request: Any = {"model": "m-1", "max_tokens": 99, "messages": messages, "tools": tools}
        if cell["streamed"]:
            async with sdk.messages.stream(**request) as events:
                async for _ in events:
                    pass
                got: Any = await events.get_final_message()
        else:
            got = await sdk.messages.create(**request)
        messages.append({"role": "assistant", "content": [block.to_dict() for block in got.content]})
        text = "".join(block.text for block in got.content if block.type == "text")
        return turn(text, [(x.id, x.name, x.input) for x in got.content if x.type == "tool_use"], got.stop_reason)

    return talk


def mistral_talk(cell: Told, http: httpx2.AsyncClient) -> Talk:
    retries = RetryConfig("backoff", BackoffStrategy(1, 5, 1.0, 10_000), retry_connection_errors=False)
    sdk = Mistral(api_key="k", server_url=cell["base_url"], async_client=http, retry_config=retries)
    messages: list[Any] = [{"role": "user", "content": cell["prompt"]}]
    tools: Any = [{"type": "function", "function": tool} for tool in cell["tools"]]

    async def talk(results: list[dict[str, Any]]) -> Turn:
        messages.extend({"role": "tool", "tool_call_id": x["id"], "content": x["result"]} for x in results)
        request: Any = {"model": "m-1", "messages": messages, "tools": tools}
        if not cell["streamed"]:
            got = await sdk.chat.complete_async(**request)
            message, finish = got.choices[0].message, got.choices[0].finish_reason
            text, calls = str(message.content or ""), list(message.tool_calls or ())
        else:
            text, calls, finish = "", [], None
            async with await sdk.chat.stream_async(**request) as events:
                async for event in events:
                    (choice,) = event.data.choices
                    text += choice.delta.content or ""
                    calls += choice.delta.tool_calls or ()
                    finish = choice.finish_reason or finish
        told = [x.model_dump(mode="json", exclude_none=True) for x in calls]
        messages.append({"role": "assistant", "content": text, "tool_calls": told or None})
        return turn(text, [(x.id, x.function.name, x.function.arguments) for x in calls], finish)

    return talk


def genai_talk(cell: Told, http: httpx2.AsyncClient) -> Talk:
    retries = types.HttpRetryOptions(attempts=RETRIES + 1, initial_delay=0.001, max_delay=0.001, jitter=0)
    options = types.HttpOptions(
        base_url=cell["base_url"], retry_options=retries, httpx_async_client=http, httpx_client=_never_used()
    )
    sdk = genai.Client(api_key="AIza-agent", http_options=options).aio
    return _gemini(sdk, cell) if cell["dialect"] == "gemini" else _interactions(sdk, cell)


@cache
def _never_used() -> httpx2.Client:
    """The client would make one for each of its own, though only the other kind is used."""
    return httpx2.Client()


def _gemini(sdk: Any, cell: Told) -> Talk:
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=cell["prompt"])])]
    functions = [
        types.FunctionDeclaration(name=tool["name"], parameters_json_schema=tool["parameters"])
        for tool in cell["tools"]
    ]
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=functions)],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )

    async def talk(results: list[dict[str, Any]]) -> Turn:
        if results:
            answers = [
                types.FunctionResponse(id=x["id"], name=x["name"], response={"output": x["result"]}) for x in results
            ]
            contents.append(types.Content(role="user", parts=[types.Part(function_response=x) for x in answers]))
        request = {"model": "m-1", "contents": contents, "config": config}
        if cell["streamed"]:
            replies = [reply async for reply in await sdk.models.generate_content_stream(**request)]
        else:
            replies = [await sdk.models.generate_content(**request)]
        parts = [part for reply in replies for part in reply.candidates[0].content.parts if part.text != ""]
        contents.append(types.Content(role="model", parts=parts))
        calls = [part.function_call for part in parts if part.function_call]
        finish = replies[-1].candidates[0].finish_reason
        text = "".join(part.text or "" for part in parts)
        return turn(text, [(x.id, x.name, x.args) for x in calls], finish.name if finish else None)

    return talk


def _interactions(sdk: Any, cell: Told) -> Talk:
    tools = [{"type": "function", **tool} for tool in cell["tools"]]
    before: dict[str, str] = {}

    async def talk(results: list[dict[str, Any]]) -> Turn:
        given: Any = cell["prompt"]
        if results:
            given = [
                {"type": "function_result", "call_id": x["id"], "name": x["name"], "result": x["result"]}
                for x in results
            ]
        made = await sdk.interactions.create(model="m-1", input=given, tools=tools, stream=cell["streamed"], **before)
        steps, status, before["previous_interaction_id"] = await _steps(made, streamed=cell["streamed"])
        text = "".join(said for kind, said in steps if kind == "text")
        return turn(text, [said for kind, said in steps if kind == "call"], status)

    return talk


async def _steps(made: Any, *, streamed: bool) -> tuple[list[tuple[str, Any]], str, str]:
    """Texts and calls in their order, status and id, as the client tells them."""
    if not streamed:
        steps: list[tuple[str, Any]] = []
        for step in made.steps:
            if step.type == "function_call":
                steps.append(("call", (step.id, step.name, step.arguments)))
            else:
                steps.append(("text", "".join(part.text for part in step.content)))
        return steps, made.status, made.id
    begun: dict[int, list[Any]] = {}
    status = interaction = ""
    async for event in made:
        if event.event_type == "step.start":
            is_call = event.step.type == "function_call"
            begun[event.index] = ["call", event.step.id, event.step.name, ""] if is_call else ["text", ""]
        elif event.event_type == "step.delta":
            begun[event.index][-1] += event.delta.text if event.delta.type == "text" else event.delta.arguments
        elif event.event_type == "interaction.completed":
            status, interaction = event.interaction.status, event.interaction.id
        elif event.event_type == "error":
            raise RuntimeError(event.error.message)
    told = [(step[0], tuple(step[1:]) if step[0] == "call" else step[1]) for step in begun.values()]
    return told, status, interaction
