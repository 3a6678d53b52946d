"""One small agent for each wire format, on its official SDK: it calls tools until the model has no more calls."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@cache
def _genai() -> Any:
    from google import genai
    from google.genai import types

    return genai, types


def _http() -> Any:
    """Without certificates, which take long to load, and which nothing on loopback needs."""
    import httpx2

    return httpx2.AsyncClient(verify=False)


SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "integer", "exclusiveMinimum": 0}, "kind": {"$ref": "#/$defs/kind"}},
    "required": ["id"],
    "additionalProperties": False,
    "$defs": {"kind": {"enum": ["order", "invoice"]}},
}
SYSTEM, QUESTION = "Be brief.", "Where are 1 and 2?"


@dataclass
class Talk:
    """What the agent saw: texts, calls (name, arguments), and the tokens that it was told of last."""

    texts: list[str] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    tokens: tuple[int | None, int | None] = (None, None)


def result_of(arguments: Any) -> str:
    return f"{arguments['id']} is in transit"


Agent = Callable[[str, bool], Awaitable[Talk]]
"""Given a base URL (without a version) and whether to stream."""


@cache
def _openai() -> Any:
    import openai

    return openai


@cache
def _anthropic() -> Any:
    import anthropic

    return anthropic


async def chat(url: str, streamed: bool) -> Talk:
    talk = Talk()
    messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    function = {"name": "look", "description": "Looks.", "parameters": SCHEMA}
    asked: dict[str, Any] = {"model": "prod", "tools": [{"type": "function", "function": function}], "temperature": 0.5}
    async with _openai().AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=_http()) as client:
        while True:
            if streamed:
                options = {"stream_options": {"include_usage": True}}
                async with client.chat.completions.stream(messages=messages, **asked, **options) as events:
                    completion = await events.get_final_completion()
            else:
                completion = await client.chat.completions.create(messages=messages, **asked)
            message = completion.choices[0].message
            talk.texts.append(message.content or "")
            talk.tokens = (completion.usage.prompt_tokens, completion.usage.completion_tokens)
            if not message.tool_calls:
                assert completion.choices[0].finish_reason == "stop"
                return talk
            assert completion.choices[0].finish_reason == "tool_calls"
            made = [(c.id, {"name": c.function.name, "arguments": c.function.arguments}) for c in message.tool_calls]
            listed = [{"id": i, "type": "function", "function": function} for i, function in made]
            messages.append({"role": "assistant", "content": message.content, "tool_calls": listed})
            for call in message.tool_calls:
                arguments = json.loads(call.function.arguments)
                talk.calls.append((call.function.name, arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result_of(arguments)})


async def responses(url: str, streamed: bool) -> Talk:
    talk = Talk()
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    tool = {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": False}
    asked: dict[str, Any] = {"model": "prod", "instructions": SYSTEM, "tools": [tool], "store": False}
    async with _openai().AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, http_client=_http()) as client:
        while True:
            if streamed:
                async with client.responses.stream(input=items, **asked) as events:
                    response = await events.get_final_response()
            else:
                response = await client.responses.create(input=items, **asked)
            assert response.status == "completed"
            talk.texts.append(response.output_text)
            talk.tokens = (response.usage.input_tokens, response.usage.output_tokens)
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return talk
            items += [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in response.output]
            for call in calls:
                arguments = json.loads(call.arguments)
                talk.calls.append((call.name, arguments))
                output = {"type": "function_call_output", "call_id": call.call_id, "output": result_of(arguments)}
                items.append(output)


async def messages(url: str, streamed: bool) -> Talk:
    talk = Talk()
    said: list[Any] = [{"role": "user", "content": QUESTION}]
    tool = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}
    asked: dict[str, Any] = {"model": "prod", "system": SYSTEM, "tools": [tool], "max_tokens": 500}
    async with _anthropic().AsyncAnthropic(api_key="k", base_url=url, max_retries=0, http_client=_http()) as client:
        while True:
            if streamed:
                async with client.messages.stream(messages=said, **asked) as events:
                    message = await events.get_final_message()
            else:
                message = await client.messages.create(messages=said, **asked)
            talk.texts.append("".join(block.text for block in message.content if block.type == "text"))
            usage = message.usage
            talk.tokens = (usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.output_tokens)
            calls = [block for block in message.content if block.type == "tool_use"]
            assert message.stop_reason == ("tool_use" if calls else "end_turn")
            if not calls:
                return talk
            said.append({"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in message.content]})
            talk.calls += [(call.name, call.input) for call in calls]
            answers = [
                {"type": "tool_result", "tool_use_id": call.id, "content": result_of(call.input)} for call in calls
            ]
            said.append({"role": "user", "content": answers})


async def gemini(url: str, streamed: bool) -> Talk:
    genai, types = _genai()

    talk = Talk()
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=QUESTION)])]
    declared = types.FunctionDeclaration(name="look", description="Looks.", parameters_json_schema=SCHEMA)
    off = types.AutomaticFunctionCallingConfig(disable=True)
    config = types.GenerateContentConfig(
        system_instruction=SYSTEM,
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=off,
        temperature=0.5,
    )
    http = _http()  # its own way through aiohttp warns
    options = types.HttpOptions(base_url=url, api_version="v1beta", httpx_async_client=http)
    async with http, genai.Client(api_key="k", http_options=options).aio as client:
        while True:
            if streamed:
                stream = await client.models.generate_content_stream(model="prod", contents=contents, config=config)
                replies = [one async for one in stream]
            else:
                replies = [await client.models.generate_content(model="prod", contents=contents, config=config)]
            parts = [part for one in replies for part in one.candidates[0].content.parts or ()]
            talk.texts.append("".join(part.text for part in parts if part.text and not part.thought))
            usage = replies[-1].usage_metadata
            talk.tokens = (usage.prompt_token_count, usage.candidates_token_count + (usage.thoughts_token_count or 0))
            calls = [part.function_call for part in parts if part.function_call]
            if not calls:
                return talk
            contents.append(types.Content(role="model", parts=parts))
            talk.calls += [(call.name, call.args) for call in calls]
            answers = [
                types.FunctionResponse(id=call.id, name=call.name, response={"output": result_of(call.args)})
                for call in calls
            ]
            contents.append(types.Content(role="user", parts=[types.Part(function_response=one) for one in answers]))


AGENTS: dict[str, Agent] = {
    "openai.chat": chat,
    "openai.responses": responses,
    "anthropic.messages": messages,
    "gemini.generate": gemini,
}
