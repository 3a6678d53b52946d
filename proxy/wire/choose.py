"""Which wire format a request speaks: by method and path, never by the whole URL (query strings vary)."""

from __future__ import annotations

import re

from proxy.wire.format import Wire
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_responses import OpenAIResponses

WIRES: dict[str, Wire] = {wire.name: wire for wire in (OpenAIChat(), OpenAIResponses())}

# Calls of a model: judged. What matches nothing here or below is refused on a model's host.
_CALLS = (
    (re.compile(r"/chat/completions$"), "openai.chat"),
    (re.compile(r"/responses(/input_tokens)?$"), "openai.responses"),
)
# Reads that carry neither prompts nor tools.
_HARMLESS = (re.compile(r"/models(/[^/:]+)?$"),)


def wire_of(method: str, path: str) -> str | None:
    """Name of the format of a model call; None if it is none. `path` is without query."""
    if method != "POST":
        return None
    return next((name for pattern, name in _CALLS if pattern.search(path)), None)


def is_harmless(method: str, path: str) -> bool:
    return method == "GET" and any(pattern.search(path) for pattern in _HARMLESS)
