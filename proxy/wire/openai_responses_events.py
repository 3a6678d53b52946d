"""Events and items of our own, in the shape that OpenAI Responses has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from proxy.wire.openai_error import error_object
from proxy.wire.sse import event


def own_event(name: str, number: int, fields: Mapping[str, object]) -> bytes:
    whole = {"type": name, "sequence_number": number, **fields}
    return event(json.dumps(whole, ensure_ascii=False).encode(), name)


def failure(code: str, message: str, response: Mapping[str, object], number: int) -> bytes:
    """How a stream in progress fails, from sequence `number` on.

    The error event has the nested shape, at which the SDK raises (the documented flat one is only handed on); the
    response that failed, which comes after it, is what Codex reads.
    """
    error = error_object(500, code, message)
    nested = {"code": code, "message": message, "param": None, "error": error}
    failed = {**response, "status": "failed", "error": {"code": code, "message": message}}
    return own_event("error", number, nested) + own_event("response.failed", number + 1, {"response": failed})


def empty_response(model: str, *, status: str) -> dict[str, object]:
    return {
        "id": "resp_ironcage",
        "object": "response",
        "created_at": 0,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


def text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def notice(item: Mapping[str, Any], message: str) -> dict[str, Any]:
    """The text that stands in the place of a refused call."""
    return {
        "id": message_id(item),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [text_part(message)],
    }


def message_id(item: Mapping[str, Any]) -> str:
    """An id as messages have it: the same wherever the item is repeated, and no other item's."""
    own = item.get("id") or item.get("call_id")
    return f"msg_{own if isinstance(own, str) else 'ironcage'}"
