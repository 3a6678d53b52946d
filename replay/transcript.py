"""Conversations as they stand in recorded requests."""

from __future__ import annotations

from collections.abc import Callable

from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.anthropic_messages import read_messages as read_anthropic
from proxy.wire.gemini import GeminiGenerate
from proxy.wire.gemini import read_messages as read_gemini
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_chat import read_messages as read_chat
from proxy.wire.openai_responses import OpenAIResponses
from proxy.wire.openai_responses import read_messages as read_responses
from replay.turns.choose import TURNS
from trajectory.conversation import Message
from trajectory.errors import FormatError

_READERS: dict[str, Callable[[bytes], tuple[Message, ...]]] = {
    OpenAIChat.name: read_chat,
    OpenAIResponses.name: read_responses,
    AnthropicMessages.name: read_anthropic,
    GeminiGenerate.name: read_gemini,
}
READABLE_WIRES = frozenset(_READERS)
LOOP_WIRES = frozenset(TURNS)
"""Wire formats that the engine's own loop can speak."""


def read_messages(wire: str, body: bytes) -> tuple[Message, ...]:
    """The messages of a recorded request body. FormatError if it, or its wire format, cannot be read."""
    reader = _READERS.get(wire)
    if reader is None:
        raise FormatError(f"requests of wire format {wire!r} cannot be read yet")
    return reader(body)
