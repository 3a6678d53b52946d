"""The neutral request as Responses. Nothing is kept at the provider: each request holds the whole conversation."""

from __future__ import annotations

from collections.abc import Iterator

from replay.swap.losses import Losses
from replay.swap.media import to_url
from replay.swap.naming import Names
from replay.swap.neutral import Call, Json, Media, Message, Request, Result, Settings, Tool, ToolChoice
from replay.swap.schemas import is_strict
from replay.swap.writing.openai_chat import flat, strictly
from replay.swap.writing.settings import put_settings
from trajectory.conversation import Text

_KEYS = {"temperature": "temperature", "top_p": "top_p", "end_user": "safety_identifier"}
_DONE = frozenset({"max_tokens", "effort", "verbosity", "format", "parallel"})
_LEAST_TOKENS = 16


def write(request: Request, names: Names, losses: Losses) -> Json:
    body: Json = {}
    messages = request.messages
    if messages and messages[0].role == "system":
        texts = [part.text for part in messages[0].parts if isinstance(part, Text)]
        body["instructions"] = "\n\n".join(texts)
        if len(texts) > 1:
            losses.add("system", "texts of the system prompt", "they were joined, with an empty line between them")
        messages = messages[1:]
    body["input"] = [item for message in messages for item in _items(message, names, losses)]
    body["store"] = False
    if request.tools:
        body["tools"] = [_tool(tool, names, losses) for tool in request.tools]
    if request.choice is not None and request.tools:
        body["tool_choice"] = _choice(request.choice, request.freeform, names)
    _put(body, request.settings, has_tools=bool(request.tools), losses=losses)
    return body


def _items(message: Message, names: Names, losses: Losses) -> Iterator[Json]:
    if message.native:
        yield from _own(message.native, losses)
        return
    said = [part for part in message.parts if isinstance(part, Text | Media)]
    if said:
        role = "developer" if message.role == "system" else message.role
        content = [one for part in said if (one := _part(part, message.role, losses)) is not None]
        yield {"type": "message", "role": role, "content": content}
    for part in message.parts:
        if isinstance(part, Call):
            yield _call(part, names)
        elif isinstance(part, Result):
            yield _result(part, losses)


def _own(items: tuple[Json, ...], losses: Losses) -> Iterator[Json]:
    """Items of the candidate's own, without what names its provider's store: that holds none of them."""
    for item in items:
        if item.get("type") == "reasoning" and not item.get("encrypted_content"):
            what = "it came without its content, and cannot go back"
            losses.add("reasoning", "reasoning of the candidate's own", what)
        elif item.get("type") == "reasoning":
            yield item
        else:
            yield {key: value for key, value in item.items() if key != "id"}


def _part(part: Text | Media, role: str, losses: Losses) -> Json | None:
    if isinstance(part, Text):
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}
    if part.kind == "image" and role != "assistant":
        return {"type": "input_image", "image_url": to_url(part)}
    if part.kind == "file" and role != "assistant":
        if part.url:
            return {"type": "input_file", "file_url": part.url}
        return {"type": "input_file", "file_data": to_url(part), "filename": part.name or "file.pdf"}
    losses.add("media", f"{part.kind} content", f"{part.media_type or 'it'} is not taken there, and was left out")
    return None


def _call(call: Call, names: Names) -> Json:
    head = {"call_id": call.id, "name": names.there(call.name)}
    if call.is_freeform:
        return {"type": "custom_tool_call", **head, "input": call.arguments}
    return {"type": "function_call", **head, "arguments": call.arguments}


def _result(result: Result, losses: Losses) -> Json:
    kind = "custom_tool_call_output" if result.is_freeform else "function_call_output"
    output: str | list[Json] = flat(result, losses)
    if any(isinstance(part, Media) for part in result.parts):
        output = [one for part in result.parts if (one := _part(part, "tool", losses)) is not None]
    return {"type": kind, "call_id": result.call_id, "output": output}


def _tool(tool: Tool, names: Names, losses: Losses) -> Json:
    head = {"name": names.there(tool.name), **({"description": tool.description} if tool.description else {})}
    if tool.is_freeform:
        return {"type": "custom", **head}
    schema = tool.schema or {"type": "object", "properties": {}}
    # where it is not said, this format makes a tool strict and rewrites its schema
    return {"type": "function", **head, "parameters": schema, "strict": strictly(tool, losses)}


def _choice(choice: ToolChoice, freeform: frozenset[str], names: Names) -> str | Json:
    named: list[Json] = [
        {"type": "custom" if name in freeform else "function", "name": names.there(name)} for name in choice.names
    ]
    if choice.mode == "none" or not named:
        return choice.mode
    if len(named) == 1 and choice.mode == "required":
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named}


def _put(body: Json, settings: Settings, *, has_tools: bool, losses: Losses) -> None:
    put_settings(body, settings, _KEYS, losses, done=_DONE)
    if settings.max_tokens is not None:
        body["max_output_tokens"] = max(settings.max_tokens, _LEAST_TOKENS)
        if settings.max_tokens < _LEAST_TOKENS:
            losses.setting("max_tokens", f"{settings.max_tokens} is less than is taken there: {_LEAST_TOKENS}")
    if settings.effort is not None:
        body["reasoning"] = {"effort": settings.effort}
    if settings.parallel is not None and has_tools:
        body["parallel_tool_calls"] = settings.parallel
    text: Json = {} if settings.verbosity is None else {"verbosity": settings.verbosity}
    asked = settings.format
    if asked is not None and asked.schema is None:
        text["format"] = {"type": "json_object"}
    elif asked is not None and asked.schema is not None:
        strict = bool(asked.strict) and is_strict(asked.schema)
        text["format"] = {"type": "json_schema", "name": asked.name, "schema": asked.schema, "strict": strict}
    if text:
        body["text"] = text
