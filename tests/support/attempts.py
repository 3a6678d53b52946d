"""Attempts for tests: everything filled in, each part replaceable."""

from __future__ import annotations

from typing import Any

from trajectory.conversation import Reply, ToolCall, ToolDefinition, Usage
from trajectory.record import Attempt, Body, Span, ToolUse, VerdictNote

TOOLS = (
    ToolDefinition("look_up", "Find an order", '{"type": "object", "properties": {"id": {"type": "string"}}}'),
    ToolDefinition("refund", "Pay back ümlaut", "{}"),
)
START = 1_700_000_000.0


def body(*parts: str | bytes) -> Body:
    return tuple(Span.of(part.encode() if isinstance(part, str) else part) for part in parts)


def model_attempt(number: int = 0, /, **changes: Any) -> Attempt:
    """The `number`th call of a model in session s-1; each number is an operation of its own, a second later."""
    values: dict[str, Any] = {
        "id": f"a{number:06}",
        "operation": f"op{number:06}",
        "trajectory": "s-1",
        "session": "s-1",
        "number": 1,
        "kind": "model",
        "door": "base_url",
        "wire": "openai_chat",
        "upstream": "openai",
        "host": "api.example.com",
        "method": "POST",
        "path": "/v1/chat/completions",
        "started_at": START + number,
        "end": "complete",
        "status": 200,
        "first_byte_s": 0.25,
        "total_s": 0.5,
        "request": body('{"messages":[', f'{{"content":"question {number}"}}', "]}"),
        "reply": body(f'{{"answer":{number}}}'),
        "request_bytes": 40,
        "reply_bytes": 12,
        "digest": f"d{number}",
        "streamed": True,
        "model": "model-a",
        "tools": TOOLS,
        "answer": Reply("hello", (ToolCall("c1", "look_up", '{"id": 1}'),), "tool_call", Usage(10, 2, None, 1), "m-1"),
        "headers": (("content-type", "application/json"),),
        "matched_by": "header",
        "extra": {"retry_after": "2"},
    }
    return Attempt(**(values | changes))


def tool_attempt(number: int = 0, /, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "kind": "tool",
        "wire": "plain",
        "upstream": "orders",
        "model": None,
        "tools": (),
        "answer": None,
        "tool": ToolUse("orders", "id=1", is_error=True),
        "verdicts": (VerdictNote("refuse", "tools", "tool_not_allowed", "not that one", "orders", 2),),
    }
    return model_attempt(number, **(values | changes))
