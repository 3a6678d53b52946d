"""What of Gemini's Interactions is read into the neutral conversation; all else passes by."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.counts import count
from proxy.wire.gemini_types import list_of, total
from proxy.wire.spelling import Fields, fields_of
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

_FINISH: dict[str, Finish] = {
    "completed": "end",
    "requires_action": "tool_call",
    "requires_continuation": "length",
    "incomplete": "length",
    "budget_exceeded": "length",
    "failed": "error",
    "cancelled": "cancelled",
}
_ASSISTANT = frozenset({"model_output", "thought", "function_call"})
CALL = "function_call"


def finish_of(status: object) -> Finish | None:
    """The neutral finish; None while the interaction goes on."""
    return _FINISH.get(status) if isinstance(status, str) else None


def usage_of(raw: object) -> Usage | None:
    if not isinstance(raw, dict):
        return None
    usage = fields_of(raw, "'usage'")
    return Usage(
        input_tokens=total(usage.get("totalinputtokens"), usage.get("totaltoolusetokens")),
        output_tokens=total(usage.get("totaloutputtokens"), usage.get("totalthoughttokens")),
        cache_read_tokens=count(usage.get("totalcachedtokens")),
        reasoning_tokens=count(usage.get("totalthoughttokens")),
    )


def definitions_of(tools: object) -> tuple[ToolDefinition, ...]:
    """Functions by their names; what the provider runs by its type (`google_search`, `mcp_server`)."""
    return tuple(definition_of(tool) for tool in list_of(tools, "'tools'"))


def definition_of(raw: object) -> ToolDefinition:
    tool = fields_of(raw, "a tool")
    kind, name = tool.get("type"), tool.get("name")
    if kind not in (None, "function"):
        if not isinstance(kind, str):
            raise FormatError("a tool's type must be a string")
        return ToolDefinition(kind)
    if not isinstance(name, str):
        raise FormatError("a function has no name")
    schema = msgspec.json.encode(tool.get("parameters") or {}).decode()
    return ToolDefinition(name, str(tool.get("description") or ""), schema)


def message_of(raw: object) -> Message:
    """A step, or a content as input may list them. FormatError for fields in two spellings."""
    step = fields_of(raw, "an input step")
    kind = str(step.get("type") or "")
    if kind == CALL:
        arguments = msgspec.json.encode(step.get("arguments") or {}).decode()
        return Message("assistant", (ToolCall(str(step.get("id") or ""), str(step.get("name") or ""), arguments),))
    if kind == "function_result":
        return Message("tool", (_result(step),))
    role: Role = "assistant" if kind in _ASSISTANT or kind.endswith(("_call", "_result")) else "user"
    if kind in ("user_input", "model_output"):
        contents = step.get("content")
        if isinstance(contents, str):
            return Message(role, (Text(contents),))
        return Message(role, tuple(_content(content) for content in list_of(contents, "'content'")))
    return Message(role, (_content(raw),))


def found_tools(raw: object) -> tuple[ToolDefinition, ...]:
    """The tools that a step of the input brings in: what the client's own tool search found."""
    step = fields_of(raw, "an input step")
    if step.get("type") != "tool_search_result":
        return ()
    return definitions_of(step.get("result"))


def _content(raw: object) -> Part:
    content = fields_of(raw, "a content")
    text = content.get("text")
    if content.get("type") in (None, "text") and isinstance(text, str):
        return Text(text)
    return Opaque(str(content.get("type") or "content"))


def _result(step: Fields) -> ToolResult:
    return ToolResult(str(step.get("callid") or ""), _result_text(step.get("result")), step.get("iserror") is True)


def _result_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    if isinstance(result, list):
        return "\n".join(part.text for part in map(_content, result) if isinstance(part, Text))
    return msgspec.json.encode(result).decode()
