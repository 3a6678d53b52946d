"""A Messages request into the neutral one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from replay.swap.effort import effort_of
from replay.swap.losses import CACHE, FILE_ID, PROVIDER_RUN, REASONING, Losses, Taking, text_parts
from replay.swap.neutral import (
    Call,
    Json,
    JsonFormat,
    Media,
    Message,
    Part,
    Request,
    Result,
    Settings,
    Tool,
    ToolChoice,
    canonical,
)
from trajectory.conversation import Text

# Their schema is known to the provider's own models only.
_FIXED_SCHEMA = re.compile(r"(?:bash|text_editor|memory|computer)_\d{8}")
_MODES = {"auto": "auto", "any": "required", "none": "none", "tool": "required"}
SPELLING = {
    "stop": "stop_sequences",
    "effort": "output_config.effort",
    "parallel": "tool_choice.disable_parallel_tool_use",
    "format": "output_config.format",
    "end_user": "metadata.user_id",
}


def read(body: Json, losses: Losses) -> Request:
    request = Taking(body, "", losses)
    listed = request.take("messages", list) or []
    system = Message("system", tuple(text_parts(request.take("system", str, list), "system", losses)))
    said = [message for raw in listed for message in _messages(raw, losses)]
    choice, parallel = _choice(request.inner("tool_choice"), losses)
    request.without("model")
    asked = Request(
        messages=canonical([system, *said]),
        tools=tuple(_tools(request.take("tools", list), losses)),
        choice=choice,
        settings=_settings(request, parallel, losses),
        streamed=request.take("stream", bool) is True,
    )
    request.lose("cache", CACHE, "cache_control")
    request.lose("tool", PROVIDER_RUN, "mcp_servers")
    request.lose("state", "what its provider keeps was left out", "container", "context_management", "thread")
    request.close()
    return asked


# --- messages ---


def _messages(raw: object, losses: Losses) -> Iterator[Message]:
    """One message; the results in a user's message as a message of their own, before what the user says."""
    message = Taking(raw, "messages[]", losses)
    role = message.take("role", str)
    content = message.take("content", str, list)
    message.close("message")
    parts = list(_parts(content, "messages[].content[]", losses))
    if role in ("assistant", "system"):
        yield Message("assistant" if role == "assistant" else "system", tuple(parts))
        return
    yield Message("tool", tuple(part for part in parts if isinstance(part, Result)))
    yield Message("user", tuple(part for part in parts if not isinstance(part, Result)))


def _parts(content: object, where: str, losses: Losses) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for raw in content if isinstance(content, list) else ():
        block = Taking(raw, where, losses)
        kind = block.take("type", str)
        block.lose("cache", CACHE, "cache_control")
        found = list(_block(kind, block, where, losses))
        block.close("unknown")
        yield from found


def _block(kind: str | None, block: Taking, where: str, losses: Losses) -> Iterator[Part]:
    if kind == "text":
        yield Text(block.take("text", str) or "")
        block.lose("text", "citations were left out", "citations")
    elif kind == "tool_use":
        arguments = msgspec.json.encode(block.take("input") or {}).decode()
        yield Call(block.take("id", str) or "", block.take("name", str) or "", arguments)
        block.lose("tool", "who called the tool is not carried", "toolset_name")
        block.without("caller")
    elif kind == "tool_result":
        yield _result(block, losses)
    elif kind in ("image", "document") and (media := _media(kind, block, losses)) is not None:
        yield media
    elif kind in ("thinking", "redacted_thinking"):
        losses.add("reasoning", f"{where} of type {kind}", REASONING)
        block.without("thinking", "signature", "data")
    else:
        is_run = kind is not None and (kind.endswith("_tool_result") or kind in ("server_tool_use", "mcp_tool_use"))
        losses.add("tool" if is_run else "unknown", f"{where} of type {kind}", PROVIDER_RUN if is_run else "left out")
        block.forget()


def _result(block: Taking, losses: Losses) -> Result:
    where = "messages[].content[].content[]"
    said = _parts(block.take("content", str, list), where, losses)
    kept = tuple(part for part in said if isinstance(part, Text | Media))
    return Result(block.take("tool_use_id", str) or "", kept, block.take("is_error", bool) is True)


def _media(kind: str, block: Taking, losses: Losses) -> Media | None:
    source = block.inner("source")
    name = block.take("title", str) or ""
    block.lose("text", "what a document is about is not carried", "context", "citations")
    if source is None:
        return None
    form = source.take("type", str)
    media_type = source.take("media_type", str) or ""
    picture = "image" if kind == "image" else "file"
    found: Media | None = None
    if form == "base64":
        found = Media(picture, media_type, data=source.take("data", str) or "", name=name)  # type: ignore[arg-type]
    elif form == "url":
        found = Media(picture, media_type, url=source.take("url", str) or "", name=name)  # type: ignore[arg-type]
    source.lose("media", FILE_ID, "file_id")
    source.close("media")
    if found is None:
        losses.add("media", f"messages[].content[] of type {kind}", f"a source of type {form} was left out")
        return None
    return found


# --- tools ---


def _tools(listed: list[Any] | None, losses: Losses) -> Iterator[Tool]:
    for raw in listed or ():
        tool = Taking(raw, "tools[]", losses)
        kind, name = tool.take("type", str), tool.take("name", str)
        if name is None or kind not in (None, "custom"):
            what = "its schema is known to its provider's models only: it was not offered"
            is_own = kind is not None and _FIXED_SCHEMA.fullmatch(kind) is not None
            losses.add("tool", f"tools[] of type {kind}", what if is_own else PROVIDER_RUN)
            continue
        schema = tool.take("input_schema", dict) or {}
        yield Tool(name, tool.take("description", str) or "", schema, tool.take("strict", bool))
        tool.lose("cache", CACHE, "cache_control")
        tool.close("tool")


def _choice(asked: Taking | None, losses: Losses) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be made together."""
    if asked is None:
        return None, None
    kind, name = asked.take("type", str), asked.take("name", str)
    one_at_a_time = asked.take("disable_parallel_tool_use", bool)
    asked.close("tool_choice")
    mode = _MODES.get(kind or "")
    if mode is None:
        losses.add("tool_choice", f"tool_choice of type {kind}", "it was left out")
        return None, None
    choice = ToolChoice(mode, (name,) if name else ())  # type: ignore[arg-type]
    return choice, None if one_at_a_time is None else not one_at_a_time


# --- settings ---


def _settings(request: Taking, parallel: bool | None, losses: Losses) -> Settings:
    metadata = request.inner("metadata")
    output = request.inner("output_config")
    form = output.inner("format") if output is not None else None
    older_form = request.inner("output_format")
    effort = output.take("effort", str) if output is not None else None
    budget = _thinking(request.inner("thinking"), losses)
    settings = Settings(
        max_tokens=request.take("max_tokens", int),
        temperature=request.take("temperature", int, float),
        top_p=request.take("top_p", int, float),
        top_k=request.take("top_k", int),
        stop=request.texts("stop_sequences"),
        effort=effort or budget,
        parallel=parallel,
        format=_format(form or older_form, losses),
        end_user=metadata.take("user_id", str) if metadata is not None else None,
    )
    for rest in (metadata, output, form, older_form):
        if rest is not None:
            rest.close()
    return settings


def _thinking(asked: Taking | None, losses: Losses) -> str | None:
    """The effort that a budget of thought comes to; None where thinking is off, or left to the model."""
    if asked is None:
        return None
    kind = asked.take("type", str)
    budget = asked.take("budget_tokens", int)
    asked.close("reasoning", "how thoughts are shown is not carried")
    if kind != "enabled" or budget is None:
        losses.add("reasoning", f"thinking of type {kind}", "how the other model thinks is its own default")
        return None
    return effort_of(budget, "thinking.budget_tokens", losses)


def _format(asked: Taking | None, losses: Losses) -> JsonFormat | None:
    if asked is None:
        return None
    kind, schema = asked.take("type", str), asked.take("schema", dict)
    if kind == "json_schema" and schema is not None:
        return JsonFormat(schema, strict=True)
    losses.add("parameter", f"output_config.format of type {kind}", "it was left out")
    return None
