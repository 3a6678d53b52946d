"""Events of Anthropic's streams, written by hand."""

from __future__ import annotations

import json
from typing import Any

USAGE = {"input_tokens": 20, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 1}


def ev(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def begun(**more: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [], **more}
    return ev("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": USAGE})


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    inner = b"".join(ev("content_block_delta", index=index, delta=delta) for delta in deltas)
    return ev("content_block_start", index=index, content_block=content) + inner + ev("content_block_stop", index=index)


def text(index: int, *pieces: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def call(index: int, name: str, *pieces: str, **more: Any) -> bytes:
    start = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}, **more}
    return block(index, start, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def thinking(index: int, *pieces: str) -> bytes:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    return block(
        index,
        {"type": "thinking", "thinking": "", "signature": ""},
        *deltas,
        {"type": "signature_delta", "signature": "EqQB"},
    )


def ended(reason: str | None = "tool_use", **usage: Any) -> bytes:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return ev("message_delta", delta=delta, usage={"output_tokens": 41, **usage}) + ev("message_stop")
