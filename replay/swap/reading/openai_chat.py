"""A chat completions request into the neutral one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from replay.swap.losses import CACHE, FILE_ID, PROVIDER_RUN, REASONING, Losses, Taking
from replay.swap.media import from_url
from replay.swap.neutral import (
    Call,
    Json,
    JsonFormat,
    Media,
    Message,
    Part,
    Request,
    Result,
    Role,
    Settings,
    Tool,
    ToolChoice,
    canonical,
)
from trajectory.conversation import Text

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SPELLING = {
    "effort": "reasoning_effort",
    "parallel": "parallel_tool_calls",
    "format": "response_format",
    "end_user": "user",
}


def read(body: Json, losses: Losses) -> Request:
    request = Taking(body, "", losses)
    listed = request.take("messages", list) or []
    messages = canonical(message for raw in listed for message in _message(raw, losses))
    options = request.inner("stream_options")
    streamed = request.take("stream", bool) is True
    request.without("model")
    asked = Request(
        messages=messages,
        tools=(*_tools(request.take("tools", list), losses), *_functions(request.take("functions", list), losses)),
        choice=_choice(request, losses),
        settings=_settings(request, losses),
        streamed=streamed,
        includes_usage=options is not None and options.take("include_usage", bool) is True,
    )
    if options is not None:
        options.without("include_obfuscation")
        options.close("stream")
    if request.take("n", int) not in (None, 1):
        losses.add("parameter", "n", "one reply was asked for")
    request.lose("cache", CACHE, "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")
    request.lose("state", "nothing is kept at the candidate's provider", "store")
    request.lose("tool", PROVIDER_RUN, "web_search_options")
    request.close()
    return asked


# --- messages ---


def _message(raw: object, losses: Losses) -> Iterator[Message]:
    message = Taking(raw, "messages[]", losses)
    role = message.take("role", str) or "user"
    content = message.take("content", str, list)
    message.lose("message", "names of speakers are not carried", *(() if role == "function" else ("name",)))
    message.lose("cache", CACHE, "cache_control")
    if role in ("tool", "function"):
        name = message.take("name", str) or "" if role == "function" else ""
        call_id = message.take("tool_call_id", str) or f"function_{name}"
        yield Message("tool", (Result(call_id, tuple(_content(content, losses)), name=name),))
    else:
        parts: list[Part] = list(_content(content, losses))
        if role == "assistant":
            parts += _said(message, losses, has_text=bool(parts))
            parts += _calls(message, losses)
        yield Message(_ROLES.get(role, "user"), tuple(parts))
    message.close("message", "it has no place there, and was left out")


def _said(message: Taking, losses: Losses, *, has_text: bool) -> Iterator[Part]:
    refusal = message.take("refusal", str)
    if refusal:
        losses.add("text", message.at("refusal"), "a refusal was given as plain text")
        if not has_text:
            yield Text(refusal)
    message.lose("reasoning", REASONING, "reasoning_content", "reasoning", "reasoning_details")
    message.lose("media", "a model's own sound was left out", "audio")
    message.lose("text", "citations were left out", "annotations")


def _content(content: object, losses: Losses) -> Iterator[Text | Media]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for raw in content if isinstance(content, list) else ():
        part = Taking(raw, "messages[].content[]", losses)
        kind = part.take("type", str)
        part.lose("cache", CACHE, "cache_control", "prompt_cache_breakpoint")
        found = _part(kind, part, losses)
        if found is None:
            losses.add("unknown", f"messages[].content[] of type {kind}", "it was left out")
            continue
        part.close("unknown")
        yield found


def _part(kind: str | None, part: Taking, losses: Losses) -> Text | Media | None:
    if kind in ("text", "refusal"):
        text = part.take("text", str) or part.take("refusal", str)
        if kind == "refusal":
            losses.add("text", part.at("refusal"), "a refusal was given as plain text")
        return Text(text or "")
    if kind == "image_url" and (image := part.inner("image_url")) is not None:
        url = image.take("url", str) or ""
        image.lose("media", "how closely to look at a picture is not carried", "detail")
        image.close("media")
        return from_url("image", url)
    if kind == "input_audio" and (audio := part.inner("input_audio")) is not None:
        sound = Media("audio", f"audio/{audio.take('format', str) or 'wav'}", audio.take("data", str) or "")
        audio.close("media")
        return sound
    if kind == "file" and (file := part.inner("file")) is not None:
        data = file.take("file_data", str)
        name = file.take("filename", str) or ""
        file.lose("media", FILE_ID, "file_id")
        file.close("media")
        return from_url("file", data, name) if data else None
    return None


def _calls(message: Taking, losses: Losses) -> Iterator[Call]:
    for raw in message.take("tool_calls", list) or ():
        call = Taking(raw, "messages[].tool_calls[]", losses)
        call_id = call.take("id", str) or ""
        call.without("type", "index")
        custom, function = call.inner("custom"), call.inner("function")
        inner = custom if custom is not None else function
        if inner is not None:
            yield _call(call_id, inner, is_freeform=custom is not None)
            inner.close("unknown")
        call.lose("reasoning", REASONING, "extra_content")
        call.close("unknown")
    legacy = message.inner("function_call")
    if legacy is not None:
        name = legacy.take("name", str) or ""
        yield Call(f"function_{name}", name, _arguments(legacy.take("arguments")))
        legacy.close("unknown")


def _call(call_id: str, inner: Taking, *, is_freeform: bool) -> Call:
    said = inner.take("input", str) or "" if is_freeform else _arguments(inner.take("arguments"))
    return Call(call_id, inner.take("name", str) or "", said, is_freeform)


def _arguments(value: Any) -> str:
    """Some servers send an object where the API says string."""
    if value is None:
        return "{}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# --- tools ---


def _tools(listed: list[Any] | None, losses: Losses) -> Iterator[Tool]:
    for raw in listed or ():
        tool = Taking(raw, "tools[]", losses)
        kind = tool.take("type", str) or "function"
        inner = tool.inner(kind) if kind in ("function", "custom") else None
        if inner is None:
            losses.add("tool", f"tools[] of type {kind}", PROVIDER_RUN)
            continue
        yield function(inner, losses) if kind == "function" else freeform(inner, losses)
        tool.lose("cache", CACHE, "cache_control")
        tool.close("tool")


def _functions(listed: list[Any] | None, losses: Losses) -> Iterator[Tool]:
    for raw in listed or ():
        yield function(Taking(raw, "functions[]", losses), losses)


def function(inner: Taking, losses: Losses) -> Tool:
    """A function as both of OpenAI's formats define it."""
    name = inner.take("name", str) or ""
    tool = Tool(
        name=name,
        description=inner.take("description", str) or "",
        schema=inner.take("parameters", dict) or {},
        strict=inner.take("strict", bool),
    )
    inner.close("tool")
    return tool


def freeform(inner: Taking, losses: Losses) -> Tool:
    """A tool whose input is plain text. A grammar for that text is not carried."""
    name = inner.take("name", str) or ""
    form = inner.take("format", dict) or {}
    if form.get("type", "text") != "text":
        losses.add("tool_schema", f"tools[{name}].format", "the grammar of its input was left out")
    tool = Tool(name=name, description=inner.take("description", str) or "", is_freeform=True)
    inner.close("tool")
    return tool


def _choice(request: Taking, losses: Losses) -> ToolChoice | None:
    legacy = request.take("function_call", str, dict)
    choice = request.take("tool_choice", str, dict)
    if choice is None and legacy is not None:
        choice = legacy if isinstance(legacy, str) else {"type": "function", "function": legacy}
    return choice_of(choice, losses)


def choice_of(choice: object, losses: Losses) -> ToolChoice | None:
    """Of both of OpenAI's formats: chat completions nest names, Responses do not."""
    if choice is None:
        return None
    if isinstance(choice, str):
        mode = {"auto": "auto", "required": "required", "any": "required", "none": "none"}.get(choice)
        if mode is None:
            losses.add("tool_choice", "tool_choice", f"{choice!r} is not known, and was left out")
        return ToolChoice(mode) if mode is not None else None  # type: ignore[arg-type]
    assert isinstance(choice, dict)
    kind = str(choice.get("type"))
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        names = tuple(name for tool in allowed.get("tools") or () if (name := _name(tool)))
        return ToolChoice("required" if allowed.get("mode") == "required" else "auto", names)
    name = _name(choice)
    if kind in ("function", "custom") and name:
        return ToolChoice("required", (name,))
    losses.add("tool_choice", f"tool_choice of type {kind}", "it was left out")
    return None


def _name(tool: object) -> str:
    if not isinstance(tool, dict):
        return ""
    inner = tool.get(str(tool.get("type")), tool)
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


# --- settings ---


def _settings(request: Taking, losses: Losses) -> Settings:
    limit = request.take("max_completion_tokens", int)
    older = request.take("max_tokens", int)
    end_user, older_user = request.take("safety_identifier", str), request.take("user", str)
    return Settings(
        max_tokens=older if limit is None else limit,
        temperature=request.take("temperature", int, float),
        top_p=request.take("top_p", int, float),
        top_k=request.take("top_k", int),
        stop=request.texts("stop"),
        seed=request.take("seed", int),
        presence_penalty=request.take("presence_penalty", int, float),
        frequency_penalty=request.take("frequency_penalty", int, float),
        effort=request.take("reasoning_effort", str),
        verbosity=request.take("verbosity", str),
        parallel=request.take("parallel_tool_calls", bool),
        format=_format(request.inner("response_format"), losses),
        end_user=end_user or older_user,
    )


def _format(asked: Taking | None, losses: Losses) -> JsonFormat | None:
    if asked is None:
        return None
    kind = asked.take("type", str)
    found = None
    if kind == "json_object":
        found = JsonFormat()
    elif kind == "json_schema" and (inner := asked.inner("json_schema")) is not None:
        found = json_format(inner)
        inner.close()
    elif kind != "text":
        losses.add("parameter", "response_format", f"the type {kind} was left out")
    asked.close()
    return found


def json_format(inner: Taking) -> JsonFormat:
    inner.lose("text", "what the schema is for is not carried", "description")
    return JsonFormat(inner.take("schema", dict) or {}, inner.take("name", str) or "reply", inner.take("strict", bool))
