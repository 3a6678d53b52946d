"""The neutral request as chat completions."""

from __future__ import annotations

from collections.abc import Iterator

from replay.swap.losses import Losses
from replay.swap.media import to_url
from replay.swap.naming import Names
from replay.swap.neutral import Call, Json, Media, Message, Request, Result, Settings, Tool, ToolChoice
from replay.swap.schemas import is_strict
from replay.swap.writing.settings import put_settings
from replay.swap.writing.values import NOBODY_SPOKE, one_text
from trajectory.conversation import Text

_KEYS = {
    "max_tokens": "max_completion_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "effort": "reasoning_effort",
    "verbosity": "verbosity",
    "end_user": "safety_identifier",
}
_DONE = frozenset({"format", "parallel", "stop"})
_MAX_STOPS = 4
_FORMATS = {"audio/wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}


def write(request: Request, names: Names, losses: Losses) -> Json:
    messages = [one for message in request.messages for one in _messages(message, names, losses)]
    if not messages:
        losses.add("message", "the first message", NOBODY_SPOKE)
    body: Json = {"messages": messages or [{"role": "user", "content": "."}]}
    if request.tools:
        body["tools"] = [_tool(tool, names, losses) for tool in request.tools]
    if request.choice is not None and request.tools:
        body["tool_choice"] = _choice(request.choice, request.freeform, names)
    _put(body, request.settings, has_tools=bool(request.tools), losses=losses)
    return body


def _messages(message: Message, names: Names, losses: Losses) -> Iterator[Json]:
    if message.native:
        yield from message.native
    elif message.role == "tool":
        yield from _results(message.results, losses)
    elif message.role == "assistant":
        yield _assistant(message, names, losses)
    elif content := _content(message, losses):
        yield {"role": message.role, "content": content}


def _assistant(message: Message, names: Names, losses: Losses) -> Json:
    if any(isinstance(part, Media) for part in message.parts):
        losses.add("media", "messages of the assistant", "pictures and files of its own were left out")
    out: Json = {"role": "assistant", "content": message.text or None}
    if message.calls:
        out["tool_calls"] = [_call(call, names) for call in message.calls]
    elif not message.text:
        out["content"] = ""
    return out


def _call(call: Call, names: Names) -> Json:
    name = names.there(call.name)
    if call.is_freeform:
        return {"id": call.id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": call.arguments}}


def _results(results: tuple[Result, ...], losses: Losses) -> Iterator[Json]:
    """A tool's message holds text only: pictures of all results follow in the user's name."""
    pictures: list[Json] = []
    for result in results:
        text = flat(result, losses)
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text}
        pictures += [one for part in result.parts if isinstance(part, Media) and (one := _media(part, losses))]
    if pictures:
        losses.add("tool_result", "pictures in tool results", "they follow the results in the user's name")
        yield {"role": "user", "content": pictures}


def flat(result: Result, losses: Losses) -> str:
    """A result where there is no mark of an error: the text says so."""
    if result.is_error:
        losses.add("tool_result", "is_error of tool results", "there is no such mark: the text begins with `Error: `")
        return f"Error: {one_text(result, losses)}"
    return one_text(result, losses)


def _content(message: Message, losses: Losses) -> str | list[Json]:
    if all(isinstance(part, Text) for part in message.parts) and len(message.parts) == 1:
        return message.text
    parts = (_part(part, losses) for part in message.parts if isinstance(part, Text | Media))
    return [part for part in parts if part is not None]


def _part(part: Text | Media, losses: Losses) -> Json | None:
    return {"type": "text", "text": part.text} if isinstance(part, Text) else _media(part, losses)


def _media(media: Media, losses: Losses) -> Json | None:
    if media.kind == "image":
        return {"type": "image_url", "image_url": {"url": to_url(media)}}
    if media.kind == "audio" and media.data and media.media_type in _FORMATS:
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": _FORMATS[media.media_type]}}
    if media.kind == "file" and media.data:
        return {"type": "file", "file": {"file_data": to_url(media), "filename": media.name or "file.pdf"}}
    losses.add("media", f"{media.kind} content", f"{media.media_type or 'what lies elsewhere'} was left out")
    return None


def _tool(tool: Tool, names: Names, losses: Losses) -> Json:
    name = names.there(tool.name)
    described = {"description": tool.description} if tool.description else {}
    if tool.is_freeform:
        return {"type": "custom", "custom": {"name": name, **described}}
    function: Json = {"name": name, **described, "parameters": tool.schema or {"type": "object", "properties": {}}}
    if strictly(tool, losses):
        function["strict"] = True
    return {"type": "function", "function": function}


def strictly(tool: Tool, losses: Losses) -> bool:
    """Whether OpenAI can hold the model to the schema where the request asks for that."""
    if tool.strict and not is_strict(tool.schema):
        what = "strict mode was left out: it wants every object closed and all properties required"
        losses.add("tool_schema", f"tools[{tool.name}].strict", what)
        return False
    return tool.strict is True


def _choice(choice: ToolChoice, freeform: frozenset[str], names: Names) -> str | Json:
    named = [_named(name, freeform, names) for name in choice.names]
    if choice.mode == "none" or not named:
        return choice.mode
    if len(named) == 1 and choice.mode == "required":
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _named(name: str, freeform: frozenset[str], names: Names) -> Json:
    kind = "custom" if name in freeform else "function"
    return {"type": kind, kind: {"name": names.there(name)}}


def _put(body: Json, settings: Settings, *, has_tools: bool, losses: Losses) -> None:
    put_settings(body, settings, _KEYS, losses, done=_DONE)
    if settings.stop:
        body["stop"] = list(settings.stop[:_MAX_STOPS])
        if len(settings.stop) > _MAX_STOPS:
            losses.setting("stop", f"only the first {_MAX_STOPS} are taken there")
    if settings.parallel is not None and has_tools:
        body["parallel_tool_calls"] = settings.parallel
    asked = settings.format
    if asked is not None and asked.schema is None:
        body["response_format"] = {"type": "json_object"}
    elif asked is not None and asked.schema is not None:
        strict = {"strict": True} if asked.strict and is_strict(asked.schema) else {}
        inner = {"name": asked.name, "schema": asked.schema, **strict}
        body["response_format"] = {"type": "json_schema", "json_schema": inner}
