"""A Responses request into the neutral one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replay.swap.losses import CACHE, FILE_ID, PROVIDER_RUN, REASONING, Losses, Taking
from replay.swap.media import from_url
from replay.swap.neutral import (
    Call,
    Json,
    JsonFormat,
    Media,
    Message,
    Request,
    Result,
    Role,
    Settings,
    Tool,
    canonical,
)
from replay.swap.reading.openai_chat import choice_of, freeform, function, json_format
from replay.swap.schemas import is_strict
from trajectory.conversation import Text

SPELLING = {
    "max_tokens": "max_output_tokens",
    "effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "parallel": "parallel_tool_calls",
    "format": "text.format",
    "end_user": "safety_identifier",
}
_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_STATE = "what its provider keeps cannot be fetched from there"
_HOSTED = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "program"}
    | {"program_output", "tool_search_call", "tool_search_output"}
)


def read(body: Json, losses: Losses) -> Request:
    request = Taking(body, "", losses)
    asked = request.take("input", str, list)
    listed = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked or []
    instructions = request.take("instructions", str)
    request.without("model")
    options = request.inner("stream_options")
    if options is not None:
        options.without("include_obfuscation")
        options.close("stream")
    read = Request(
        messages=canonical(message for raw in listed for message in _item(raw, losses)),
        tools=tuple(_tools(request.take("tools", list), losses)),
        choice=choice_of(request.take("tool_choice", str, dict), losses),
        settings=_settings(request, losses),
        streamed=request.take("stream", bool) is True,
        continues=request.take("previous_response_id", str),
        instructions=(Message("system", (Text(instructions),)),) if instructions else (),
    )
    request.lose("state", _STATE, "conversation", "prompt", "background")
    request.lose("state", "nothing is kept at the candidate's provider", "store")
    request.lose("cache", CACHE, "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")
    request.lose("reasoning", "what else a reply is to hold was left out", "include")
    request.lose("message", "the conversation is never shortened there", "truncation", "context_management")
    request.close()
    return read


# --- items ---


def _item(raw: object, losses: Losses) -> Iterator[Message]:
    item = Taking(raw, "input[]", losses)
    kind = item.take("type", str) or "message"
    item.without("id", "status", "phase")
    if kind == "message":
        role = _ROLES.get(item.take("role", str) or "", "user")
        yield Message(role, tuple(_content(item.take("content", str, list), "input[].content[]", losses)))
    elif kind in ("function_call", "custom_tool_call"):
        yield Message("assistant", (_call(kind, item),))
    elif kind in ("function_call_output", "custom_tool_call_output"):
        said = tuple(_content(item.take("output", str, list), "input[].output[]", losses))
        freely = kind.startswith("custom")
        yield Message("tool", (Result(item.take("call_id", str) or "", said, is_freeform=freely),))
    elif kind == "reasoning":
        losses.add("reasoning", "input[] of type reasoning", REASONING)
        item.forget()
    elif kind in ("item_reference", "compaction", "compaction_trigger"):
        losses.add("state", f"input[] of type {kind}", _STATE)
        item.forget()
    else:
        _leave_out(kind, losses)
        item.forget()
    item.close("message")


def _leave_out(kind: str, losses: Losses) -> None:
    if kind in _HOSTED or kind.startswith("mcp_"):
        losses.add("tool", f"input[] of type {kind}", PROVIDER_RUN)
    else:
        losses.add("unknown", f"input[] of type {kind}", "it was left out")


def _call(kind: str, item: Taking) -> Call:
    name, namespace = item.take("name", str) or "", item.take("namespace", str)
    if namespace and namespace != name:
        name = f"{namespace}__{name}"
    said = item.take("arguments", str) if kind == "function_call" else item.take("input", str)
    item.lose("tool", "who called the tool is not carried", "async")
    item.without("caller")
    return Call(item.take("call_id", str) or "", name, said or "", kind == "custom_tool_call")


def _content(content: object, where: str, losses: Losses) -> Iterator[Text | Media]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for raw in content if isinstance(content, list) else ():
        part = Taking(raw, where, losses)
        kind = part.take("type", str)
        part.lose("cache", CACHE, "prompt_cache_breakpoint")
        found = _part(kind, part, losses)
        if found is None:
            losses.add("unknown", f"{where} of type {kind}", "it was left out")
            part.forget()
            continue
        part.close("unknown")
        yield found


def _part(kind: str | None, part: Taking, losses: Losses) -> Text | Media | None:
    if kind in ("input_text", "output_text", "text"):
        part.lose("text", "citations and probabilities were left out", "annotations", "logprobs")
        return Text(part.take("text", str) or "")
    if kind == "refusal":
        losses.add("text", part.at("refusal"), "a refusal was given as plain text")
        return Text(part.take("refusal", str) or "")
    if kind == "input_image":
        part.lose("media", "how closely to look at a picture is not carried", "detail")
        part.lose("media", FILE_ID, "file_id")
        url = part.take("image_url", str)
        return from_url("image", url) if url else None
    if kind == "input_file":
        part.lose("media", FILE_ID, "file_id")
        name = part.take("filename", str) or ""
        url = part.take("file_data", str) or part.take("file_url", str)
        return from_url("file", url, name) if url else None
    return None


# --- tools ---


def _tools(listed: list[Any] | None, losses: Losses, namespace: str = "") -> Iterator[Tool]:
    for raw in listed or ():
        tool = Taking(raw, "tools[]", losses)
        kind = tool.take("type", str)
        if kind == "namespace":
            name = tool.take("name", str) or ""
            losses.add("tool", f"tools[{name}]", f"a namespace: its tools are called {name}__TOOL there")
            tool.lose("tool", "what a namespace is for is not carried", "description")
            yield from _tools(tool.take("tools", list), losses, f"{name}__")
            tool.close("tool")
        elif kind in ("function", "custom"):
            tool.lose("tool", "tools are all offered at once", "defer_loading")
            tool.without("allowed_callers")
            yield _named(function(tool, losses) if kind == "function" else freeform(tool, losses), namespace)
        else:
            losses.add("tool", f"tools[] of type {kind}", PROVIDER_RUN)


def _named(tool: Tool, namespace: str) -> Tool:
    """Where a request does not say, this format holds models to the schema wherever that can be done."""
    strict = tool.strict
    if strict is None and not tool.is_freeform and is_strict(tool.schema):
        strict = True
    return Tool(namespace + tool.name, tool.description, tool.schema, strict, tool.is_freeform)


# --- settings ---


def _settings(request: Taking, losses: Losses) -> Settings:
    reasoning, text = request.inner("reasoning"), request.inner("text")
    form = text.inner("format") if text is not None else None
    end_user, older_user = request.take("safety_identifier", str), request.take("user", str)
    settings = Settings(
        max_tokens=request.take("max_output_tokens", int),
        temperature=request.take("temperature", int, float),
        top_p=request.take("top_p", int, float),
        effort=reasoning.take("effort", str) if reasoning is not None else None,
        verbosity=text.take("verbosity", str) if text is not None else None,
        parallel=request.take("parallel_tool_calls", bool),
        format=_format(form, losses),
        end_user=end_user or older_user,
    )
    for rest in (reasoning, text, form):
        if rest is not None:
            rest.close()
    return settings


def _format(asked: Taking | None, losses: Losses) -> JsonFormat | None:
    if asked is None:
        return None
    kind = asked.take("type", str)
    if kind == "json_object":
        return JsonFormat()
    if kind == "json_schema":
        return json_format(asked)
    if kind != "text":
        losses.add("parameter", "text.format", f"the type {kind} was left out")
    return None
