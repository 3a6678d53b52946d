"""The neutral request as Messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replay.swap.losses import Losses
from replay.swap.naming import Names
from replay.swap.neutral import Json, Media, Message, Part, Request, Result, Settings, Tool, ToolChoice
from replay.swap.schemas import for_anthropic
from replay.swap.writing.freeform import as_function, input_of
from replay.swap.writing.settings import nearest_effort, put_settings
from replay.swap.writing.values import NOBODY_SPOKE, as_object
from trajectory.conversation import Text

_KEYS = {"max_tokens": "max_tokens", "top_p": "top_p", "top_k": "top_k", "stop": "stop_sequences"}
_DONE = frozenset({"effort", "format", "parallel", "end_user", "temperature"})
_EFFORTS = ("low", "medium", "high", "max")
DEFAULT_MAX_TOKENS = 8192
"""Where the request set none: this format must have one."""
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", ""})
_NOTE = "[system note] "


def write(request: Request, names: Names, losses: Losses) -> Json:
    body: Json = {}
    leading, rest = _leading(request.messages)
    system = [
        {"type": "text", "text": part.text}
        for message in leading
        for part in message.parts
        if isinstance(part, Text) and part.text.strip()
    ]
    if system:
        body["system"] = system[0]["text"] if len(system) == 1 else system
    body["messages"] = list(_turns(rest, names, losses))
    tools, choice = _chosen(request, losses)
    if tools:
        body["tools"] = [_tool(tool, names, losses) for tool in tools]
        if (asked := _choice(choice, request.settings.parallel, names)) is not None:
            body["tool_choice"] = asked
    _put(body, request.settings, losses)
    return body


def _leading(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    at = next((n for n, message in enumerate(messages) if message.role != "system"), len(messages))
    return messages[:at], messages[at:]


# --- messages ---


def _turns(messages: tuple[Message, ...], names: Names, losses: Losses) -> Iterator[Json]:
    """Roles that alternate, the user first: neighbours of one role are one message."""
    turns: list[Json] = []
    before = ""
    for message in messages:
        blocks = list(_blocks(message, names, losses))
        role = "assistant" if message.role == "assistant" else "user"
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            if before == message.role:
                losses.add("message", f"neighbouring messages of the {role}", "they were joined to one")
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
        before = message.role
    if not turns or turns[0]["role"] == "assistant":
        losses.add("message", "the first message", NOBODY_SPOKE)
        yield {"role": "user", "content": [{"type": "text", "text": "."}]}
    yield from turns


def _blocks(message: Message, names: Names, losses: Losses) -> Iterator[Json]:
    if message.native:
        for piece in message.native:
            yield from piece["content"]
        return
    if message.role == "system":
        losses.add("system", "system messages in mid-conversation", f"given as the user's, after {_NOTE!r}")
    for part in message.parts:
        block = _block(part, message.role, names, losses)
        if block is not None:
            yield block
        elif isinstance(part, Text):
            losses.add("text", "texts of white space alone", "they are not taken there, and were left out")


def _block(part: Part, role: str, names: Names, losses: Losses) -> Json | None:
    if isinstance(part, Text):
        return _text(part, _NOTE if role == "system" else "")
    if isinstance(part, Media):
        return _media(part, losses)
    if isinstance(part, Result):
        return _result(part, losses)
    arguments = input_of(part, losses) if part.is_freeform else as_object(part.arguments, losses)
    return {"type": "tool_use", "id": part.id, "name": names.there(part.name), "input": arguments}


def _text(part: Text, note: str = "") -> Json | None:
    """Texts of white space alone are not taken."""
    return {"type": "text", "text": note + part.text} if part.text.strip() else None


def _result(result: Result, losses: Losses) -> Json:
    out: Json = {"type": "tool_result", "tool_use_id": result.call_id}
    if len(result.parts) > 1 or any(isinstance(part, Media) for part in result.parts):
        inner = (_media(part, losses) if isinstance(part, Media) else _text(part) for part in result.parts)
        out["content"] = [one for one in inner if one is not None]
    else:
        out["content"] = "".join(result.texts)
    if result.is_error:
        out["is_error"] = True
    return out


def _media(media: Media, losses: Losses) -> Json | None:
    kind = "image" if media.kind == "image" else "document"
    fits = media.media_type in (_IMAGES if kind == "image" else ("application/pdf", ""))
    if media.kind == "audio" or not fits:
        losses.add("media", f"{media.kind} content", f"{media.media_type or 'it'} is not taken there, and was left out")
        return None
    if media.url:
        return {"type": kind, "source": {"type": "url", "url": media.url}}
    media_type = media.media_type or ("image/png" if kind == "image" else "application/pdf")
    named = {"title": media.name} if media.name and kind == "document" else {}
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": media.data}, **named}


# --- tools ---


def _chosen(request: Request, losses: Losses) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """Several allowed tools cannot be named there: the others are not offered."""
    choice = request.choice
    if choice is None or not choice.names or (len(choice.names) == 1 and choice.mode == "required"):
        return request.tools, choice
    losses.add(
        "tool_choice", "tool_choice", "a choice of several cannot be said there: the other tools were not offered"
    )
    return tuple(tool for tool in request.tools if tool.name in choice.names), ToolChoice(choice.mode)


def _tool(tool: Tool, names: Names, losses: Losses) -> Json:
    if tool.is_freeform:
        tool = as_function(tool, losses)
    schema = for_anthropic(tool.schema, f"tools[{tool.name}]", losses)
    out: Json = {"name": names.there(tool.name), "description": tool.description, "input_schema": schema}
    if not tool.description:
        del out["description"]
    if tool.strict:
        out["strict"] = True
    return out


def _choice(choice: ToolChoice | None, parallel: bool | None, names: Names) -> Json | None:
    if choice is None and parallel is not False:
        return None
    kind: Json = {"type": {"auto": "auto", "required": "any", "none": "none"}[choice.mode if choice else "auto"]}
    if choice is not None and choice.names and choice.mode == "required":
        kind = {"type": "tool", "name": names.there(choice.names[0])}
    if parallel is not None and kind["type"] != "none":
        kind["disable_parallel_tool_use"] = not parallel
    return kind


# --- settings ---


def _put(body: Json, settings: Settings, losses: Losses) -> None:
    put_settings(body, settings, _KEYS, losses, done=_DONE)
    if settings.max_tokens is None:
        body["max_tokens"] = DEFAULT_MAX_TOKENS
        losses.setting("max_tokens", f"none was set, and this format must have one: {DEFAULT_MAX_TOKENS}")
    if settings.temperature is not None:
        body["temperature"] = min(settings.temperature, 1.0)
        if settings.temperature > 1:
            losses.setting("temperature", f"{settings.temperature:g} is above the scale there: 1")
    output: dict[str, Any] = {}
    if settings.effort is not None and (effort := nearest_effort(settings.effort, _EFFORTS, losses)):
        output["effort"] = effort
    asked = settings.format
    if asked is not None and asked.schema is not None:
        output["format"] = {"type": "json_schema", "schema": asked.schema}
    elif asked is not None:
        losses.setting("format", "JSON without a schema cannot be asked for there")
    if output:
        body["output_config"] = output
    if settings.end_user is not None:
        body["metadata"] = {"user_id": settings.end_user}
