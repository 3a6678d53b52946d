"""OpenAI chat completions, request and whole reply (platform.openai.com API reference, November 2026).

Compatible servers differ in small ways (no index, arguments as an object, legacy function_call, keys in any case):
what is not understood passes untouched, what could be a tool call is judged.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from policies.verdict import Refuse
from proxy.wire.case import check_case
from proxy.wire.counts import stated
from proxy.wire.format import Asked, HeldTurn, Lookup, Rendered, ReplyJudge, ReplyRead, TurnCall, TurnCalls
from proxy.wire.layout import Layout, Section, decoded, read_layout
from proxy.wire.openai_chat_edits import restored_parts, with_part
from proxy.wire.openai_chat_stream import ChatStream
from proxy.wire.openai_chat_types import REPLY_KEYS, Completion, finish_of, finish_with, usage_of
from proxy.wire.openai_chat_views import put_back
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, apply_edits, elements, escaped, members, quoted, read_json, removal, span_at
from trajectory.conversation import (
    Finish,
    Message,
    Opaque,
    Part,
    Reply,
    Role,
    Text,
    ToolCall,
    ToolDefinition,
    ToolResult,
)
from trajectory.errors import FormatError

_completion = msgspec.json.Decoder(Completion)
_TOOL_KEYS = ("tools", "functions")
_LENGTH = ("max_completion_tokens", "max_tokens", "n")
_JUDGED = frozenset({"model", "messages", "stream", *_TOOL_KEYS, "tool_choice", "function_call", *_LENGTH})
_NEEDS_TOOLS = {"tools": ("tool_choice", "parallel_tool_calls"), "functions": ("function_call",)}
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


class OpenAIChat:
    name = "openai.chat"
    list_key = "messages"
    refusal_status = 400

    def read_request(self, layout: Layout, path: str) -> Asked:
        check_case(layout.fields, _JUDGED, "the request")
        if not layout.is_listed:
            raise FormatError("'messages' must be an array")
        model = layout.value("model")
        if not isinstance(model, str):
            raise FormatError("'model' must be a string")
        return Asked(
            model=model,
            streamed=layout.value("stream") is True,
            tools=_definitions(layout.section("tools")) + _definitions(layout.section("functions")),
            forced_tool=_forced(layout.value("tool_choice"), layout.value("function_call")),
            max_tokens=stated(layout.value("max_completion_tokens"), layout.value("max_tokens")),
            answers=stated(layout.value("n")) or 1,
        )

    def read_message(self, section: Section) -> Message:
        return _message(section.value())

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        return put_back(layout, at, turn) if at is not None else None

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        return None

    def links(self, layout: Layout) -> list[str]:
        ids: list[str] = []
        for item in layout.items[layout.kept :]:
            message = item.section.value()
            if isinstance(message, dict) and isinstance(message.get("tool_call_id"), str):
                ids.append(message["tool_call_id"])
        return ids

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        for key in _TOOL_KEYS:
            section = layout.section(key)
            if section is None:
                continue
            drop = {i for i, tool in enumerate(_definitions(section)) if tool.name in names}
            if not drop:
                continue
            spans = elements(section.raw)
            if len(drop) == len(spans):
                # an empty list is refused by the API, and so are these where there are no tools
                layout.dropped.update({key, *_NEEDS_TOOLS[key]} & layout.fields.keys())
            else:
                layout.replace(key, apply_edits(section.raw, removal(section.raw, spans, drop)))
        choice = layout.value("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "allowed_tools" and "tool_choice" not in layout.dropped:
            layout.put("tool_choice", _narrowed(choice, names))

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None:
        layout.put("model", model)
        for key, value in parameters.items():
            layout.put(key, value)

    def path_with_model(self, path: str, model: str) -> str:
        return path

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        try:
            completion = _completion.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise FormatError(f"the reply is not a chat completion: {e}") from None
        # what is judged must be what the client parses: no key twice
        value, texts = read_json(body)
        REPLY_KEYS.check(value, "the reply")
        read = ReplyRead(_reply(completion), body, texts, failed=completion.has_failed())
        refused = {
            (c, i): verdict
            for c, choice in enumerate(completion.choices)
            for i, call in enumerate(choice.message.all_calls())
            if (verdict := judge.call(call.name, call.id, call.arguments)) is not None
        }
        if refused:
            read.client = _without_calls(body, refused)
            read.refused = tuple(refused.values())
            read.turn = _turn(body, completion, refused)
        if judge.lookup is not None and b"PII_" in body:
            read.client, read.restored = _restored(read.client, judge.lookup)
        if read.client is not body:
            read.client_reply = _reply(_completion.decode(read.client))
        return read

    def stream(self, judge: ReplyJudge) -> ChatStream:
        return ChatStream(judge)

    def error(self, status: int, code: str, message: str) -> Rendered:
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return Rendered(status, json.dumps({"error": error}, ensure_ascii=False).encode())

    def error_event(self, code: str, message: str) -> bytes:
        error = {"message": message, "type": "server_error", "param": None, "code": code}
        return b"data: " + json.dumps({"error": error}, ensure_ascii=False).encode() + b"\n\n"

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        head: dict[str, object] = {"id": "chatcmpl-ironcage", "created": 0, "model": model}
        if not streamed:
            message = {"role": "assistant", "content": text, "refusal": None}
            choice: dict[str, object] = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            return Rendered(200, json.dumps(whole, ensure_ascii=False).encode())
        frames = b""
        for delta, finish in (({"role": "assistant", "content": text}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
            frames += b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
        return Rendered(200, frames + b"data: [DONE]\n\n", "text/event-stream")


def read_messages(body: bytes) -> tuple[Message, ...]:
    """All messages of a recorded request body. Raises FormatError."""
    return tuple(_message(item.section.value()) for item in read_layout(body, OpenAIChat.list_key).items)


def _definitions(section: Section | None) -> tuple[ToolDefinition, ...]:
    """One definition for each element, in order; of `tools` and of the older `functions`."""
    if section is None:
        return ()
    return section.read_as(OpenAIChat.name, _defined)


def _defined(section: Section) -> tuple[ToolDefinition, ...]:
    listed = section.value()
    if listed is not None and not isinstance(listed, list):
        raise FormatError("'tools' must be an array")
    return tuple(_definition(tool) for tool in listed or ())


def _definition(tool: object) -> ToolDefinition:
    if not isinstance(tool, dict):
        raise FormatError("a tool must be an object")
    kind = tool.get("type", "function")
    if not isinstance(kind, str):
        raise FormatError("a tool's type must be a string")
    if kind not in ("function", "custom"):
        return ToolDefinition(kind)  # run by the provider: its type is its name on an allowlist
    if "function" in tool and "custom" in tool:
        raise FormatError("a tool is both a function and a custom tool")
    inner = tool.get(kind, tool)
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str):
        raise FormatError("a tool has no name")
    schema = msgspec.json.encode(inner.get("parameters") or {}).decode()
    return ToolDefinition(name, str(inner.get("description") or ""), schema)


def _forced(choice: object, legacy: object) -> str | None:
    for value in (choice, legacy):
        if isinstance(value, dict):
            inner = value.get("function") or value.get("custom") or value
            if isinstance(inner, dict) and isinstance(inner.get("name"), str):
                return str(inner["name"])
    return None


def _narrowed(choice: dict[str, Any], names: frozenset[str]) -> object:
    allowed = choice.get("allowed_tools")
    if not isinstance(allowed, dict) or not isinstance(allowed.get("tools"), list):
        return choice
    kept = [t for t in allowed["tools"] if isinstance(t, dict) and _definition(t).name not in names]
    return {**choice, "allowed_tools": {**allowed, "tools": kept}} if kept else "none"


def _reply(completion: Completion) -> Reply:
    texts: list[str] = []
    calls: list[ToolCall] = []
    finish: Finish | None = None
    for choice in completion.choices:
        if text := choice.message.text():
            texts.append(text)
        calls += choice.message.all_calls()
        if finish is None and choice.finish_reason:
            finish = finish_of(choice.finish_reason)
    return Reply(
        text="\n".join(texts),
        calls=tuple(calls),
        finish=finish_with(finish, has_calls=bool(calls), failed=completion.has_failed()),
        usage=usage_of(completion.usage),
        model=completion.model if isinstance(completion.model, str) else None,
        reasoning_bytes=sum(choice.message.reasoning_bytes for choice in completion.choices),
    )


def _turn(body: bytes, completion: Completion, refused: dict[tuple[int, int], Refuse]) -> TurnCalls:
    """All calls of all choices: a client that goes on with one of several is recognised where only that one has any."""
    calls: list[TurnCall] = []
    for c, choice in enumerate(completion.choices):
        for i, call in enumerate(choice.message.all_calls()):
            verdict = refused.get((c, i))
            at = span_at(body, ["choices", c, "message", "tool_calls", i]) if verdict is not None else None
            raw = body[at.start : at.end] if at is not None else b""
            calls.append(TurnCall(call.id, call.name, verdict.message if verdict is not None else None, raw))
    return tuple(calls)


def _without_calls(body: bytes, refused: dict[tuple[int, int], Refuse]) -> bytes:
    """Each refused call becomes text in its message; finish reasons are mended where no call is left."""
    edits: list[Edit] = []
    for choice in {c for c, _ in refused}:
        at = span_at(body, ["choices", choice, "message"])
        if at is None:  # pragma: no cover - the decoder has just seen it
            raise FormatError("a reply's message could not be found again")
        message = members(body, at.start, at.end)
        verdicts = {i: v for (c, i), v in refused.items() if c == choice}
        listed = message.get("tool_calls")
        spans = elements(body, listed.start, listed.end) if listed and body[listed.start] == 0x5B else []
        drop = {i for i in verdicts if i < len(spans)}
        notice = "\n\n".join(v.message for v in verdicts.values())
        if listed and drop:
            if len(drop) == len(spans):
                edits.append(Edit(listed.start, listed.end, b"null"))
            else:
                edits += removal(body, spans, drop)
        legacy = message.get("function_call")
        if legacy and len(spans) in verdicts:
            edits.append(Edit(legacy.start, legacy.end, b"null"))
        content = message.get("content")
        if content is None:
            edits.append(Edit(at.start + 1, at.start + 1, b'"content":' + quoted(notice) + b","))
        else:
            edits.append(Edit(content.start, content.end, _content_with(body[content.start : content.end], notice)))
        if len(verdicts) == len(spans) + (1 if legacy and body[legacy.start] == 0x7B else 0):
            reason = span_at(body, ["choices", choice, "finish_reason"])
            if reason is not None and finish_of(decoded(body[reason.start : reason.end])) == "tool_call":
                edits.append(Edit(reason.start, reason.end, b'"stop"'))
    return apply_edits(body, edits)


def _content_with(raw: bytes, notice: str) -> bytes:
    text = decoded(raw)
    if isinstance(text, str) and text:
        return raw[:-1] + escaped("\n\n" + notice).encode() + b'"'
    if isinstance(text, list):
        return with_part(raw, notice)
    return quoted(notice)


def _restored(body: bytes, lookup: Lookup) -> tuple[bytes, int]:
    """Pseudonyms put back in text and tool arguments; never in reasoning, which may be signed."""
    edits: list[Edit] = []
    count = 0

    def found(token: str) -> str | None:
        nonlocal count
        value = lookup(token)
        count += value is not None
        return value

    choices = span_at(body, ["choices"])
    for index in range(len(elements(body, choices.start, choices.end)) if choices else 0):
        base: list[str | int] = ["choices", index, "message"]
        places: list[tuple[list[str | int], int]] = [([*base, "content"], 1), ([*base, "refusal"], 1)]
        calls = span_at(body, [*base, "tool_calls"])
        for i in range(len(elements(body, calls.start, calls.end)) if calls and body[calls.start] == 0x5B else 0):
            places.append(([*base, "tool_calls", i, "function", "arguments"], 2))
            places.append(([*base, "tool_calls", i, "custom", "input"], 1))
        places.append(([*base, "function_call", "arguments"], 2))
        for path, levels in places:
            at = span_at(body, path)
            if at is None or body[at.start] not in b'"[{':
                continue
            if path[-1] == "content" and body[at.start] == 0x5B:
                parts = body[at.start : at.end]
                restored = restored_parts(parts, found)
                edits += [Edit(at.start, at.end, restored)] if restored is not parts else []
            else:
                edits += span_edits(body, at.start, at.end, found, levels)
    return apply_edits(body, edits), count


def _message(raw: object) -> Message:
    if not isinstance(raw, dict):
        raise FormatError("a message must be an object")
    role = _ROLES.get(str(raw.get("role")), "user")
    if role == "tool":
        text = "\n".join(p.text for p in _parts(raw.get("content")) if isinstance(p, Text))
        return Message("tool", (ToolResult(str(raw.get("tool_call_id") or raw.get("name") or ""), text),))
    return Message(role, _parts(raw.get("content")) + _calls(raw))


def _parts(content: object) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        return ()
    parts: list[Part] = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else None
        kind = str(part.get("type")) if isinstance(part, dict) else "unknown"
        parts.append(Text(text) if isinstance(text, str) else Opaque(kind))
    return tuple(parts)


def _calls(raw: dict[str, Any]) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    legacy = raw.get("function_call")
    listed = raw.get("tool_calls")
    for call in (*(listed if isinstance(listed, list) else ()), *([{"function": legacy}] if legacy else ())):
        inner = (call.get("function") or call.get("custom")) if isinstance(call, dict) else None
        if isinstance(inner, dict):
            arguments = inner.get("arguments", inner.get("input", ""))
            text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            calls.append(ToolCall(str(call.get("id") or ""), str(inner.get("name") or ""), text))
    return tuple(calls)
