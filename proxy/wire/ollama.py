"""Ollama's native API, /api/chat and /api/generate (ollama.com API reference, November 2026).

Its server is written in Go and takes keys in any case, so a key that differs from a known one only in case is
refused. It streams unless `stream` is false, names no call ids, and gives tool arguments as objects.
"""

from __future__ import annotations

import json

import msgspec

from proxy.wire.case import check_case, check_cases
from proxy.wire.counts import stated
from proxy.wire.format import Asked, HeldTurn, Rendered, ReplyJudge, ReplyRead, TurnCalls
from proxy.wire.layout import Layout, Section
from proxy.wire.ollama_reply import OllamaReader
from proxy.wire.ollama_stream import OllamaStream
from proxy.wire.ollama_views import put_back
from proxy.wire.spans import apply_edits, elements, removal
from trajectory.conversation import Message, Opaque, Part, Role, Text, ToolCall, ToolDefinition, ToolResult
from trajectory.errors import FormatError

_TOP = frozenset(
    {
        "model", "messages", "tools", "stream", "prompt", "suffix", "system", "template", "images", "context", "raw",
        "format", "options", "think", "keep_alive", "truncate", "shift", "logprobs", "top_logprobs",
    }
)  # fmt: skip
_MESSAGE = frozenset({"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id", "name"})
_CALL = frozenset({"function", "id"})
_TOOL = frozenset({"type", "function", "items"})
_FUNCTION = frozenset({"name", "description", "parameters", "arguments", "index"})
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


class OllamaChat:
    name = "ollama.chat"
    list_key = "messages"
    refusal_status = 400
    stream_type = "application/x-ndjson"
    _says = "message"

    def read_request(self, layout: Layout, path: str) -> Asked:
        check_case(layout.fields, _TOP, "the request")
        if "messages" in layout.fields and not layout.is_listed and layout.value("messages") is not None:
            raise FormatError("'messages' must be an array")
        for item in layout.items[layout.kept :]:
            _check_message(item.section)
        model = layout.value("model")
        if not isinstance(model, str):
            raise FormatError("'model' must be a string")
        options = layout.value("options")
        limit = options.get("num_predict") if isinstance(options, dict) else None
        return Asked(
            model=model,
            streamed=layout.value("stream") is not False,
            tools=_definitions(layout.section("tools")),
            max_tokens=stated(limit),
        )

    def read_message(self, section: Section) -> Message:
        return _message(section.value())

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        return put_back(layout, at, turn) if at is not None else None

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        return None

    def links(self, layout: Layout) -> list[str]:
        return []

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        section = layout.section("tools")
        if section is None:
            return
        drop = {i for i, tool in enumerate(_definitions(section)) if tool.name in names}
        spans = elements(section.raw)
        if len(drop) == len(spans):
            layout.dropped.add("tools")
        elif drop:
            layout.replace("tools", apply_edits(section.raw, removal(section.raw, spans, drop)))

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None:
        layout.put("model", model)
        if parameters:
            options = layout.value("options")
            layout.put("options", {**(options if isinstance(options, dict) else {}), **parameters})

    def path_with_model(self, path: str, model: str) -> str:
        return path

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        reader = OllamaReader(judge)
        client = reader.read(body, is_whole=True)
        refused = tuple(reader.refused)
        turn = reader.turn() if refused else ()
        shown = reader.client_reply()
        return ReplyRead(reader.reply(), client, reader.texts(), shown, refused, reader.restored, turn, reader.failed)

    def stream(self, judge: ReplyJudge) -> OllamaStream:
        return OllamaStream(judge)

    def error(self, status: int, code: str, message: str) -> Rendered:
        return Rendered(status, json.dumps({"error": message, "code": code}, ensure_ascii=False).encode())

    def error_event(self, code: str, message: str) -> bytes:
        return json.dumps({"error": message, "code": code}, ensure_ascii=False).encode() + b"\n"

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        """One line says it all; a client that wants a stream takes it as a short one."""
        counts = {"total_duration": 0, "prompt_eval_count": 0, "eval_count": 0}
        head = {"model": model, "created_at": "1970-01-01T00:00:00Z"}
        whole = {**head, **self._said(text), "done": True, "done_reason": "stop", **counts}
        body = json.dumps(whole, ensure_ascii=False).encode()
        return Rendered(200, body + b"\n", self.stream_type) if streamed else Rendered(200, body)

    def _said(self, text: str) -> dict[str, object]:
        return {"message": {"role": "assistant", "content": text}}


class OllamaGenerate(OllamaChat):
    """A prompt instead of a conversation; the whole of it is one new request each time."""

    name = "ollama.generate"

    def _said(self, text: str) -> dict[str, object]:
        return {"response": text}


def _check_message(section: Section) -> None:
    message = section.value()
    if not isinstance(message, dict):
        raise FormatError("a message must be an object")
    check_case(message, _MESSAGE, "a message")
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        check_cases(calls, _CALL, "a tool call")
        check_cases((c.get("function") for c in calls if isinstance(c, dict)), _FUNCTION, "a tool call")


def _definitions(section: Section | None) -> tuple[ToolDefinition, ...]:
    if section is None:
        return ()
    return section.read_as(OllamaChat.name, _defined)


def _defined(section: Section) -> tuple[ToolDefinition, ...]:
    listed = section.value()
    if listed is not None and not isinstance(listed, list):
        raise FormatError("'tools' must be an array")
    return tuple(_definition(tool) for tool in listed or ())


def _definition(tool: object) -> ToolDefinition:
    inner = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise FormatError("a tool must be a function with a name")
    check_case(tool, _TOOL, "a tool")
    check_case(inner, _FUNCTION, "a tool")
    schema = msgspec.json.encode(inner.get("parameters") or {}).decode()
    return ToolDefinition(inner["name"], str(inner.get("description") or ""), schema)


def _message(raw: object) -> Message:
    if not isinstance(raw, dict):
        raise FormatError("a message must be an object")
    role = _ROLES.get(str(raw.get("role")), "user")
    content = raw.get("content")
    text = content if isinstance(content, str) else ""
    if role == "tool":
        return Message("tool", (ToolResult(str(raw.get("tool_name") or raw.get("name") or ""), text),))
    parts: list[Part] = [Text(text)] if text else []
    parts += [Opaque("image")] * (len(raw["images"]) if isinstance(raw.get("images"), list) else 0)
    listed = raw.get("tool_calls")
    for call in listed if isinstance(listed, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = function.get("arguments")
            written = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            parts.append(ToolCall("", str(function.get("name") or ""), written))
    return Message(role, tuple(parts))
