"""The parts of OpenAI Responses that are read: items, calls, a response's end. All else passes by.

A call's name is the one that an allowlist knows it by:

- a function or a custom tool: its name; `NAMESPACE.NAME` in a namespace (`.` cannot stand in a function's name),
  but the plain name where both are equal, as the API itself writes a deferred function;
- a built-in tool: its type in `tools` (`shell`, `apply_patch`, `web_search`, ...);
- an MCP server: `mcp:HOST`, its connector or its tunnel; its label is the client's choice;
- a stored prompt, which may bring tools of its own: `prompt.ID`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.wire.case import ReplyKeys
from proxy.wire.counts import count
from proxy.wire.spans import json_text
from trajectory.conversation import Finish, Reply, ToolCall, Usage

Item = dict[str, Any]

# Run by the provider: done when they are seen, so they are judged as offered tools, in the request.
_HOSTED = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"}
)
# Where a call's arguments stand, in the order of preference.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "custom_tool_call": ("input",),
    "shell_call": ("action",),
    "local_shell_call": ("action",),
    "computer_call": ("actions", "action"),
    "apply_patch_call": ("operation",),
}
REPLY_KEYS = ReplyKeys("response", "output", "item", "name", "namespace", "arguments", "input", "delta")

_FINISH: dict[str, Finish] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
    "steered": "cancelled",
}


class Event(msgspec.Struct):
    """An event of the stream. `item` and `response` are read wherever they stand, whatever the event's type."""

    type: str | None = None
    sequence_number: Any = None
    output_index: Any = None
    content_index: int | str | None = None
    command_index: int | str | None = None
    item_id: Any = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    command: Any = None
    diff: Any = None
    part: Any = None
    annotation: Any = None
    item: Any = None
    response: Any = None
    error: Any = None


def qualified(namespace: object, name: str) -> str:
    return f"{namespace}.{name}" if isinstance(namespace, str) and namespace not in ("", name) else name


def call_of(item: Mapping[str, Any], computer: str = "computer") -> ToolCall | None:
    """The call that an item asks the client to make; None for anything else, and for what the provider has run.

    `computer` is the name of the computer tool, which has two types but one kind of call.
    """
    kind = item.get("type")
    if not isinstance(kind, str) or not kind.endswith("_call") or kind in _HOSTED:
        return None
    if kind == "tool_search_call" and item.get("execution") == "server":
        return None
    call_id = item.get("call_id") or item.get("id")
    return ToolCall(call_id if isinstance(call_id, str) else "", _name(kind, item, computer), _arguments(kind, item))


def _name(kind: str, item: Mapping[str, Any], computer: str) -> str:
    name = item.get("name")
    if kind in ("function_call", "custom_tool_call"):
        return qualified(item.get("namespace"), name if isinstance(name, str) else "")
    return computer if kind == "computer_call" else kind.removesuffix("_call")


def _arguments(kind: str, item: Mapping[str, Any]) -> str:
    for key in _ARGUMENTS.get(kind, ("arguments",)):
        value = item.get(key)
        if value is not None:
            return value if isinstance(value, str) else json_text(value)
    return ""


def computer_name(tools: object) -> str:
    """The type under which a computer was offered, by the list of tools that a response repeats."""
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind.startswith("computer"):
            return kind
    return "computer"


def items_of(response: Mapping[str, Any]) -> list[Item]:
    output = response.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def reply_of(response: Mapping[str, Any]) -> Reply:
    """The neutral reply. Text is what the SDK calls `output_text`; a refusal in words where there is none."""
    computer = computer_name(response.get("tools"))
    items = items_of(response)
    calls = tuple(call for item in items if (call := call_of(item, computer)) is not None)
    said = "".join(_words(items, "output_text", "text"))
    declined = "" if said else "".join(_words(items, "refusal", "refusal"))
    model, reply_id = response.get("model"), response.get("id")
    return Reply(
        text=said or declined,
        calls=calls,
        finish=_finish(response, has_calls=bool(calls), declined=bool(declined)),
        usage=usage_of(response),
        model=model if isinstance(model, str) else None,
        id=reply_id if isinstance(reply_id, str) else None,
    )


def _words(items: list[Item], kind: str, key: str) -> list[str]:
    return [
        part[key]
        for item in items
        if item.get("type") == "message" and isinstance(item.get("content"), list)
        for part in item["content"]
        if isinstance(part, dict) and part.get("type") == kind and isinstance(part.get(key), str)
    ]


def has_failed(response: Mapping[str, Any]) -> bool:
    """It has ended, and is not what was asked for: the provider failed, or somebody cancelled it.

    Some compatible servers tell of an error without a status.
    """
    return response.get("status") in ("failed", "cancelled") or _is_bare_error(response)


def _is_bare_error(response: Mapping[str, Any]) -> bool:
    return response.get("error") is not None and response.get("status") is None


def _finish(response: Mapping[str, Any], *, has_calls: bool, declined: bool) -> Finish | None:
    """There is no stop reason on this wire: a call is asked for where call items are present."""
    status = response.get("status")
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return _FINISH.get(reason, "length") if isinstance(reason, str) else "length"
    if status == "failed" or _is_bare_error(response):
        return "error"
    if status == "cancelled":
        return "cancelled"
    if status in ("in_progress", "queued") or (status is None and "output" not in response):
        return None
    if has_calls:
        return "tool_call"
    return "refusal" if declined else "end"


def usage_of(response: Mapping[str, Any]) -> Usage | None:
    """Of a response; of a token count, which is a number beside no output."""
    raw = response.get("usage")
    if not isinstance(raw, dict):
        counted = count(response.get("input_tokens"))
        return None if counted is None else Usage(input_tokens=counted)
    given, made = raw.get("input_tokens_details"), raw.get("output_tokens_details")
    return Usage(
        input_tokens=count(raw.get("input_tokens")),
        output_tokens=count(raw.get("output_tokens")),
        cache_read_tokens=count(given.get("cached_tokens")) if isinstance(given, dict) else None,
        reasoning_tokens=count(made.get("reasoning_tokens")) if isinstance(made, dict) else None,
    )
