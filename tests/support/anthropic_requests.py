"""Requests of Anthropic Messages, written by hand, and what becomes of them."""

from __future__ import annotations

import json
from typing import Any

from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.layout import Layout, read_layout

WIRE = AnthropicMessages()
PATH = "/v1/messages?beta=true"
HI = {"role": "user", "content": "hi"}


def layout(**fields: Any) -> Layout:
    return read_layout(json.dumps({"model": "m", "max_tokens": 9, "messages": [HI], **fields}).encode(), "messages")


def sent(laid: Layout) -> Any:
    return json.loads(raw(laid))


def raw(laid: Layout) -> bytes:
    return b"".join(span.data for span in laid.assembled())


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"does {name}", "input_schema": {"type": "object"}, **more}
