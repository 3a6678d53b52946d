"""A generateContent request into the neutral one. Keys are taken in camelCase and in snake_case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from proxy.wire.gemini_types import list_of
from replay.swap.effort import effort_of
from replay.swap.losses import FILE_ID, PROVIDER_RUN, REASONING, Losses, Taking
from replay.swap.media import kind_of
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
from replay.swap.schemas import from_gemini
from trajectory.conversation import Text

_CONFIG = "generationConfig"
SPELLING = {
    "max_tokens": f"{_CONFIG}.maxOutputTokens",
    "temperature": f"{_CONFIG}.temperature",
    "top_p": f"{_CONFIG}.topP",
    "top_k": f"{_CONFIG}.topK",
    "stop": f"{_CONFIG}.stopSequences",
    "seed": f"{_CONFIG}.seed",
    "presence_penalty": f"{_CONFIG}.presencePenalty",
    "frequency_penalty": f"{_CONFIG}.frequencyPenalty",
    "effort": f"{_CONFIG}.thinkingConfig",
    "format": f"{_CONFIG}.responseMimeType",
}
_MODES = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}


def read(body: Json, losses: Losses) -> Request:
    request = Taking(body, "", losses, folds=True)
    contents = request.take("contents", list, dict)
    listed = [contents] if isinstance(contents, dict) else contents or []
    system = request.take("systemInstruction", dict)
    said = [] if system is None else [Message("system", tuple(_parts(system, "systemInstruction.parts[]", losses)))]
    choice = _choice(request.inner("toolConfig"), losses)
    read = Request(
        messages=canonical([*said, *_identified(listed, losses)]),
        tools=tuple(_tools(request.take("tools", list, dict), losses)),
        choice=choice,
        settings=_settings(request.inner(_CONFIG), losses),
    )
    request.lose("state", "what its provider keeps cannot be fetched from there", "cachedContent")
    request.lose("parameter", "a filter of its provider's own", "safetySettings")
    request.without("model")
    request.close()
    return read


# --- contents ---


def _identified(listed: list[Any], losses: Losses) -> Iterator[Message]:
    """The messages, with ids for calls that have none: results answer them by name, in order."""
    open_calls: list[Call] = []
    for number, raw in enumerate(listed):
        content = Taking(raw, "contents[]", losses, folds=True)
        role = content.take("role", str)
        parts = list(_parts(raw, "contents[].parts[]", losses)) if isinstance(raw, dict) else []
        content.without("parts")
        content.close("message")
        if role == "model":
            named = [_with_id(part, f"call_{number}_{at}") for at, part in enumerate(parts)]
            open_calls = [part for part in named if isinstance(part, Call)]
            yield Message("assistant", tuple(named))
            continue
        results = [_answering(part, open_calls) for part in parts if isinstance(part, Result)]
        yield Message("tool", tuple(results))
        yield Message("user", tuple(part for part in parts if not isinstance(part, Result)))


def _with_id(part: Part, call_id: str) -> Part:
    return Call(call_id, part.name, part.arguments) if isinstance(part, Call) and not part.id else part


def _answering(result: Result, open_calls: list[Call]) -> Result:
    if result.call_id:
        return result
    call = next((one for one in open_calls if one.name == result.name), None)
    if call is None:
        return Result(f"call_of_{result.name}", result.parts, result.is_error, result.name)
    open_calls.remove(call)
    return Result(call.id, result.parts, result.is_error, result.name)


def _parts(content: Json, where: str, losses: Losses) -> Iterator[Part]:
    for raw in list_of(content.get("parts"), "'parts'"):
        part = Taking(raw, where, losses, folds=True)
        if part.take("thought", bool):
            losses.add("reasoning", f"{where} of thought", REASONING)
            part.forget()
            continue
        part.lose("reasoning", REASONING, "thoughtSignature")
        found = list(_part(part, losses))
        part.close("unknown" if found else "tool")
        yield from found


def _part(part: Taking, losses: Losses) -> Iterator[Part]:
    text = part.take("text", str)
    if text is not None:
        if text:
            yield Text(text)
        return
    if (inline := part.inner("inlineData")) is not None:
        media_type = inline.take("mimeType", str) or ""
        name = inline.take("displayName", str) or ""
        yield Media(kind_of(media_type), media_type, data=inline.take("data", str) or "", name=name)
        inline.close("media")
    elif (file := part.inner("fileData")) is not None:
        media_type, uri = file.take("mimeType", str) or "", file.take("fileUri", str) or ""
        file.without("displayName")
        file.close("media")
        if uri.startswith("https://generativelanguage.") or not uri.startswith("http"):
            losses.add("media", part.at("fileData"), FILE_ID)
        else:
            yield Media(kind_of(media_type), media_type, url=uri)
    elif (call := part.inner("functionCall")) is not None:
        arguments = msgspec.json.encode(call.take("args") or {}).decode()
        yield Call(call.take("id", str) or "", call.take("name", str) or "", arguments)
        call.close("unknown")
    elif (answer := part.inner("functionResponse")) is not None:
        yield _result(answer, losses)


def _result(answer: Taking, losses: Losses) -> Result:
    """An answer of one text under `output` or `error` is that text; any other its JSON."""
    response = answer.take("response")
    only = next(iter(response.items())) if isinstance(response, dict) and len(response) == 1 else ("", None)
    is_error = isinstance(response, dict) and response.get("error") is not None
    text = only[1] if only[0] in ("output", "result", "error") and isinstance(only[1], str) else None
    if text is None:
        losses.add("tool_result", answer.at("response"), "an object was given as its JSON text")
        text = msgspec.json.encode(response).decode()
    parts: list[Text | Media] = [Text(text)]
    for raw in answer.take("parts", list) or ():
        inner = Taking(raw, answer.at("parts[]"), losses, folds=True)
        parts += [one for one in _part(inner, losses) if isinstance(one, Text | Media)]
        inner.close("media")
    result = Result(answer.take("id", str) or "", tuple(parts), is_error, answer.take("name", str) or "")
    answer.lose("tool_result", "whether more of an answer comes is not carried", "willContinue", "scheduling")
    answer.close("unknown")
    return result


# --- tools ---


def _tools(listed: list[Any] | Json | None, losses: Losses) -> Iterator[Tool]:
    for raw in [listed] if isinstance(listed, dict) else listed or ():
        tool = Taking(raw, "tools[]", losses, folds=True)
        declared = tool.take("functionDeclarations", list, dict)
        for one in [declared] if isinstance(declared, dict) else declared or ():
            yield _function(Taking(one, "tools[].functionDeclarations[]", losses, folds=True), losses)
        tool.close("tool", PROVIDER_RUN)


def _function(declared: Taking, losses: Losses) -> Tool:
    name = declared.take("name", str) or ""
    schema = declared.take("parametersJsonSchema", dict)
    own = declared.take("parameters", dict)
    if schema is None and own is not None:
        schema = from_gemini(own, f"tools[{name}].parameters", losses)
    tool = Tool(name, declared.take("description", str) or "", schema or {})
    declared.lose("tool_schema", "what a tool answers is not carried", "response", "responseJsonSchema")
    declared.close("tool")
    return tool


def _choice(config: Taking | None, losses: Losses) -> ToolChoice | None:
    calling = config.inner("functionCallingConfig") if config is not None else None
    choice = None
    if calling is not None:
        mode = calling.take("mode", str) or "AUTO"
        names = calling.texts("allowedFunctionNames")
        choice = ToolChoice(_MODES.get(mode.upper(), "auto"), names)  # type: ignore[arg-type]
        if mode.upper() == "VALIDATED":
            losses.add("tool_choice", "toolConfig.functionCallingConfig.mode", "VALIDATED was given as auto")
        calling.close("tool_choice")
    if config is not None:
        config.close("tool_choice")
    return choice


# --- settings ---


def _settings(config: Taking | None, losses: Losses) -> Settings:
    if config is None:
        return Settings()
    if config.take("candidateCount", int) not in (None, 1):
        losses.add("parameter", f"{_CONFIG}.candidateCount", "one reply was asked for")
    settings = Settings(
        max_tokens=config.take("maxOutputTokens", int),
        temperature=config.take("temperature", int, float),
        top_p=config.take("topP", int, float),
        top_k=_whole(config.take("topK", int, float)),
        stop=config.texts("stopSequences"),
        seed=config.take("seed", int),
        presence_penalty=config.take("presencePenalty", int, float),
        frequency_penalty=config.take("frequencyPenalty", int, float),
        effort=_effort(config.inner("thinkingConfig"), losses),
        format=_format(config, losses),
    )
    config.close()
    return settings


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _effort(asked: Taking | None, losses: Losses) -> str | None:
    if asked is None:
        return None
    level: str | None = asked.take("thinkingLevel", str)
    budget: int | None = asked.take("thinkingBudget", int)
    asked.close("reasoning", "how thoughts are shown is not carried")
    if level is not None:
        return level.lower()
    if budget is None or budget < 0:
        return None
    return effort_of(budget, f"{_CONFIG}.thinkingConfig.thinkingBudget", losses)


def _format(config: Taking, losses: Losses) -> JsonFormat | None:
    media_type = config.take("responseMimeType", str)
    schema, own = config.take("responseJsonSchema", dict), config.take("responseSchema", dict)
    if schema is None and own is not None:
        schema = from_gemini(own, f"{_CONFIG}.responseSchema", losses)
    if media_type in (None, "text/plain"):
        return None
    if media_type != "application/json":
        losses.add("parameter", f"{_CONFIG}.responseMimeType", f"{media_type} was left out")
        return None
    return JsonFormat(schema)
