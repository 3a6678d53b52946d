"""Anthropic Messages, request and whole reply (API versions 2023-06-01 and 2026-10-21, and the betas of November
2026). The versions differ in what the API accepts, not in what is read here.
"""

from __future__ import annotations

import json

import msgspec

from proxy.wire.anthropic_messages_reply import read_reply
from proxy.wire.anthropic_messages_stream import MessagesStream
from proxy.wire.anthropic_messages_tools import drop, offered
from proxy.wire.anthropic_messages_types import Block, joined
from proxy.wire.anthropic_messages_views import put_back
from proxy.wire.case import check_case
from proxy.wire.counts import stated
from proxy.wire.format import Asked, HeldTurn, Rendered, ReplyJudge, ReplyRead, TurnCalls
from proxy.wire.layout import Layout, Section, read_layout
from proxy.wire.sse import event
from trajectory.conversation import Message, Part, Role, Text, ToolResult
from trajectory.errors import FormatError

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_ID = "msg_ironcage"
_COUNT = "/messages/count_tokens"
# Compatible servers in Go take keys in any case.
_JUDGED = frozenset({"model", "messages", "stream", "tools", "tool_choice", "mcp_servers", "thread"})


class _Message(msgspec.Struct):
    role: object = None
    content: str | list[Block] | None = None


_message = msgspec.json.Decoder(_Message)
_system = msgspec.json.Decoder(str | list[Block] | None)


class AnthropicMessages:
    name = "anthropic.messages"
    list_key = "messages"
    refusal_status = 403

    def read_request(self, layout: Layout, path: str) -> Asked:
        check_case(layout.fields, _JUDGED, "the request")
        if not layout.is_listed:
            raise FormatError("'messages' must be an array")
        model = layout.value("model")
        if not isinstance(model, str):
            raise FormatError("'model' must be a string")
        thread = layout.value("thread")
        if isinstance(thread, dict) and thread.get("type") != "create":
            # nobody here can say what tools and messages it holds; clients fall back to the whole conversation
            raise FormatError("it continues a thread that only the provider knows; send the whole conversation")
        choice = layout.value("tool_choice")
        forced = choice.get("name") if isinstance(choice, dict) else None
        return Asked(
            model=model,
            streamed=layout.value("stream") is True,
            tools=offered(layout),
            forced_tool=forced if isinstance(forced, str) else None,
            max_tokens=stated(layout.value("max_tokens")),
            counts=path.partition("?")[0].endswith(_COUNT),
        )

    def read_message(self, section: Section) -> Message:
        return _read_message(section.raw)

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        return put_back(layout, at, turn) if at is not None else None

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        return None

    def links(self, layout: Layout) -> list[str]:
        diagnostics = layout.value("diagnostics")
        before = diagnostics.get("previous_message_id") if isinstance(diagnostics, dict) else None
        ids = [before] if isinstance(before, str) else []
        for item in layout.items[layout.kept :]:
            if any(text == "tool_result" for _, text in item.section.texts):
                parts = _read_message(item.section.raw).parts
                ids += [part.call_id for part in parts if isinstance(part, ToolResult)]
        return ids

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        drop(layout, names)

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None:
        layout.put("model", model)
        # nor may another model answer in its place
        layout.dropped.update({"fallbacks", "fallback_credit_token"} & layout.fields.keys())
        for key, value in parameters.items():
            if key != "seed":  # "Extra inputs are not permitted"
                layout.put(key, value)

    def path_with_model(self, path: str, model: str) -> str:
        return path

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        return read_reply(body, judge)

    def stream(self, judge: ReplyJudge) -> MessagesStream:
        return MessagesStream(judge)

    def error(self, status: int, code: str, message: str) -> Rendered:
        kind = _ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")
        if status == 429 and code.endswith("_budget_exhausted"):
            kind = "billing_error"  # as Anthropic's own gateway says it: waiting a moment will not help
        error = {"type": kind, "message": message, "details": {"code": code}}
        return Rendered(status, _encoded({"type": "error", "error": error, "request_id": None}))

    def error_event(self, code: str, message: str) -> bytes:
        error = {"type": "api_error", "message": message, "details": {"code": code}}
        return event(_encoded({"type": "error", "error": error}), "error")

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        usage = {"input_tokens": 0, "output_tokens": 0}
        head = {"id": _ID, "type": "message", "role": "assistant", "model": model}
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        if not streamed:
            return Rendered(200, _encoded({**head, "content": [{"type": "text", "text": text}], **end, "usage": usage}))
        begun: dict[str, object] = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        events: tuple[dict[str, object], ...] = (
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": 0}},
            {"type": "message_stop"},
        )
        return Rendered(200, b"".join(event(_encoded(e), str(e["type"])) for e in events), "text/event-stream")


def read_messages(body: bytes) -> tuple[Message, ...]:
    """All messages of a recorded request body, the system prompt first. Raises FormatError."""
    layout = read_layout(body, AnthropicMessages.list_key)
    messages = tuple(_read_message(item.section.raw) for item in layout.items)
    system = layout.section("system")
    if system is None:
        return messages
    try:
        parts = _parts(_system.decode(system.raw))
    except msgspec.DecodeError as e:
        raise FormatError(f"the system prompt is not one: {e}") from None
    return (Message("system", parts), *messages)


def _read_message(raw: bytes) -> Message:
    try:
        message = _message.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"a message cannot be read: {e}") from None
    parts = _parts(message.content)
    role: Role = "assistant" if message.role == "assistant" else "system" if message.role == "system" else "user"
    if role == "user" and any(isinstance(part, ToolResult) for part in parts):
        role = "tool"  # results come in the user's name, whatever else stands beside them
    return Message(role, parts)


def _parts(content: str | list[Block] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return joined(block.part() for block in content or ())


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
