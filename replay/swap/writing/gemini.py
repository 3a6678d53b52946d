"""The neutral request as generateContent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replay.swap.losses import Losses
from replay.swap.naming import Names
from replay.swap.neutral import Call, Json, Media, Message, Part, Request, Result, Settings, Tool, ToolChoice
from replay.swap.schemas import for_gemini
from replay.swap.writing.freeform import as_function, input_of
from replay.swap.writing.settings import nearest_effort, put_settings
from replay.swap.writing.values import NOBODY_SPOKE, as_object, one_text
from trajectory.conversation import Text

_KEYS = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_DONE = frozenset({"effort", "format"})
_EFFORTS = ("minimal", "low", "medium", "high")
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_MAX_STOPS = 5
# What the API documents for calls that another model made: they carry no signature that it could check.
_NO_SIGNATURE = "skip_thought_signature_validator"
_NOTE = "[system note] "


def write(request: Request, names: Names, losses: Losses) -> Json:
    messages = request.messages
    at = next((n for n, message in enumerate(messages) if message.role != "system"), len(messages))
    body: Json = {"contents": list(_contents(messages[at:], names, losses))}
    system = [{"text": part.text} for one in messages[:at] for part in one.parts if isinstance(part, Text)]
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool, names, losses) for tool in request.tools]}]
    if request.choice is not None and request.tools:
        body["toolConfig"] = {"functionCallingConfig": _choice(request.choice, names, losses)}
    config = _config(request.settings, losses)
    if config:
        body["generationConfig"] = config
    return body


def _contents(messages: tuple[Message, ...], names: Names, losses: Losses) -> Iterator[Json]:
    contents: list[Json] = []
    before = ""
    for message in messages:
        role = "model" if message.role == "assistant" else "user"
        parts = list(_parts(message, names, losses))
        if not parts:
            continue
        if contents and contents[-1]["role"] == role and "functionResponse" not in contents[-1]["parts"][0]:
            if before == message.role:
                losses.add("message", f"neighbouring messages of the {role}", "they were joined to one")
            contents[-1] = {**contents[-1], "parts": [*contents[-1]["parts"], *parts]}
        else:
            contents.append({"role": role, "parts": parts})
        before = message.role
    if not contents or contents[0]["role"] == "model":
        losses.add("message", "the first message", NOBODY_SPOKE)
        yield {"role": "user", "parts": [{"text": "."}]}
    yield from contents


def _parts(message: Message, names: Names, losses: Losses) -> Iterator[Json]:
    if message.native:
        for piece in message.native:
            yield from piece["parts"]
        return
    if message.role == "system":
        losses.add("system", "system messages in mid-conversation", f"given as the user's, after {_NOTE!r}")
    is_first_call = True
    for part in message.parts:
        made = _part(part, message.role, names, losses)
        if made is None:
            continue
        if isinstance(part, Call) and is_first_call:
            made["thoughtSignature"] = _NO_SIGNATURE
            is_first_call = False
        yield made


def _part(part: Part, role: str, names: Names, losses: Losses) -> Json | None:
    if isinstance(part, Text):
        return {"text": (_NOTE if role == "system" else "") + part.text} if part.text else None
    if isinstance(part, Media):
        return _media(part, losses)
    if isinstance(part, Result):
        return {"functionResponse": _result(part, names, losses)}
    arguments = input_of(part, losses) if part.is_freeform else as_object(part.arguments, losses)
    return {"functionCall": {"id": part.id, "name": names.there(part.name), "args": arguments}}


def _result(result: Result, names: Names, losses: Losses) -> Json:
    known = {"id": result.call_id} if result.call_id else {}
    answer: Json = {**known, "name": names.there(result.name)}
    answer["response"] = {"error" if result.is_error else "output": one_text(result, losses)}
    pictures = [one for part in result.parts if isinstance(part, Media) and (one := _media(part, losses))]
    if pictures:
        answer["parts"] = pictures
    return answer


def _media(media: Media, losses: Losses) -> Json | None:
    if media.data:
        media_type = media.media_type or {"image": "image/png", "audio": "audio/wav"}.get(media.kind, "application/pdf")
        return {"inlineData": {"mimeType": media_type, "data": media.data}}
    if not media.media_type:
        losses.add("media", f"{media.kind} content", "what lies elsewhere and has no media type was left out")
        return None
    return {"fileData": {"mimeType": media.media_type, "fileUri": media.url}}


def _tool(tool: Tool, names: Names, losses: Losses) -> Json:
    if tool.is_freeform:
        tool = as_function(tool, losses)
    where = f"tools[{tool.name}]"
    if tool.strict:
        losses.add("tool_schema", f"{where}.strict", "the model is not held to the schema there")
    out: Json = {"name": names.there(tool.name), "description": tool.description}
    if tool.schema.get("properties"):
        out["parametersJsonSchema"] = for_gemini(tool.schema, where, losses)
    return out


def _choice(choice: ToolChoice, names: Names, losses: Losses) -> Json:
    out: Json = {"mode": _MODES[choice.mode]}
    if choice.names and choice.mode == "required":
        out["allowedFunctionNames"] = [names.there(name) for name in choice.names]
    elif choice.names:
        out["mode"] = "VALIDATED"
        out["allowedFunctionNames"] = [names.there(name) for name in choice.names]
        losses.add("tool_choice", "tool_choice", "a free choice among some tools is asked for as VALIDATED")
    return out


def _config(settings: Settings, losses: Losses) -> Json:
    config: dict[str, Any] = {}
    put_settings(config, settings, _KEYS, losses, done=_DONE)
    if len(settings.stop) > _MAX_STOPS:
        config["stopSequences"] = list(settings.stop[:_MAX_STOPS])
        losses.setting("stop", f"only the first {_MAX_STOPS} are taken there")
    if settings.effort is not None and (effort := nearest_effort(settings.effort, _EFFORTS, losses)):
        config["thinkingConfig"] = {"thinkingLevel": effort}
    if settings.format is not None:
        config["responseMimeType"] = "application/json"
        if settings.format.schema is not None:
            config["responseJsonSchema"] = for_gemini(settings.format.schema, "the schema of the reply", losses)
    return config
