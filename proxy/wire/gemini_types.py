"""What of Gemini's generateContent is read into the neutral conversation; all else passes by."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.counts import count
from proxy.wire.spelling import Fields, camel, fields_of
from trajectory.conversation import (
    Finish,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    ToolCall,
    ToolDefinition,
    ToolResult,
    Usage,
)
from trajectory.errors import FormatError

_FINISH: dict[str, Finish | None] = {
    "FINISH_REASON_UNSPECIFIED": None,
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
FUNCTIONS = "functiondeclarations"


def finish_of(reason: object) -> Finish | None:
    """The neutral finish; an unknown reason counts as an ordinary end. STOP is also how a turn of calls ends."""
    return _FINISH.get(reason, "end") if isinstance(reason, str) else None


def usage_of(raw: object) -> Usage | None:
    """Gemini counts thoughts beside the candidates, and what tools put into the prompt beside the prompt."""
    if not isinstance(raw, dict):
        return None
    usage = fields_of(raw, "usageMetadata")
    return Usage(
        input_tokens=total(usage.get("prompttokencount"), usage.get("tooluseprompttokencount")),
        output_tokens=total(usage.get("candidatestokencount"), usage.get("thoughtstokencount")),
        cache_read_tokens=count(usage.get("cachedcontenttokencount")),
        reasoning_tokens=count(usage.get("thoughtstokencount")),
    )


def total(*counts: object) -> int | None:
    """The sum of what is known; None if nothing is."""
    known = [n for c in counts if (n := count(c)) is not None]
    return sum(known) if known else None


def list_of(value: object, what: str) -> list[Any]:
    """A repeated field; the API also takes a single object where a list is meant."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise FormatError(f"{what} must be an array")
    return value


def definitions_of(tools: object) -> tuple[ToolDefinition, ...]:
    """Functions by their names; a tool that the provider runs by its key in camelCase (`googleSearch`)."""
    found: list[ToolDefinition] = []
    for entry in list_of(tools, "'tools'"):
        for name, value in fields_of(entry, "a tool").items():
            if name == FUNCTIONS:
                found += [_function(one) for one in list_of(value, "'functionDeclarations'")]
        keys = fields_of(entry, "a tool").keys_as_written
        found += [ToolDefinition(camel(key)) for name, key in keys.items() if name != FUNCTIONS]
    return tuple(found)


def _function(raw: object) -> ToolDefinition:
    declared = fields_of(raw, "a function declaration")
    schema = declared.get("parametersjsonschema") or declared.get("parameters") or {}
    return ToolDefinition(
        function_name(declared), str(declared.get("description") or ""), msgspec.json.encode(schema).decode()
    )


def function_name(declared: Fields) -> str:
    name = declared.get("name")
    if not isinstance(name, str):
        raise FormatError("a function declaration has no name")
    return name


def message_of(raw: object) -> Message:
    """A content. One that only answers calls is a tool's; FormatError for fields in two spellings."""
    content = fields_of(raw, "a content")
    parts = tuple(_part(part) for part in list_of(content.get("parts"), "'parts'"))
    role: Role = "assistant" if content.get("role") == "model" else "user"
    if parts and all(isinstance(part, ToolResult) for part in parts):
        role = "tool"
    return Message(role, parts)


def _part(raw: object) -> Part:
    part = fields_of(raw, "a part")
    if "functioncall" in part:
        call = fields_of(part["functioncall"] or {}, "a function call")
        arguments = msgspec.json.encode(call.get("args") or {}).decode()
        return ToolCall(str(call.get("id") or ""), str(call.get("name") or ""), arguments)
    if "functionresponse" in part:
        return _result(fields_of(part["functionresponse"] or {}, "a function response"))
    text = part.get("text")
    if isinstance(text, str):
        return Opaque("thought") if part.get("thought") is True else Text(text)
    return Opaque(next((camel(key) for key in part.keys_as_written.values()), "part"))


def _result(result: Fields) -> ToolResult:
    """Older models give no id: there the name stands for it."""
    call_id = str(result.get("id") or result.get("name") or "")
    response = result.get("response")
    only = next(iter(response.items())) if isinstance(response, dict) and len(response) == 1 else ("", None)
    if only[0] in ("output", "result", "error") and isinstance(only[1], str):
        return ToolResult(call_id, only[1], is_error=only[0] == "error")
    is_error = isinstance(response, dict) and response.get("error") is not None
    return ToolResult(call_id, msgspec.json.encode(response).decode(), is_error=is_error)


def error_of(status: int, code: str, message: str) -> dict[str, object]:
    """An error as Google's APIs shape it; the machine code is the reason of its ErrorInfo."""
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "ironcage"}
    canonical = _STATUS.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    return {"error": {"code": status, "message": message, "status": canonical, "details": [detail]}}
