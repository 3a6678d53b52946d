"""Which wire format a request speaks: by method and path, never by the whole URL (query strings vary)."""

from __future__ import annotations

import re

from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.bedrock import BedrockConverse, BedrockInvoke
from proxy.wire.format import Wire
from proxy.wire.gemini import GeminiGenerate, GeminiGenerateArray, asks_for_array
from proxy.wire.gemini_interactions import GeminiInteractions
from proxy.wire.ollama import OllamaChat, OllamaGenerate
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_responses import OpenAIResponses

WIRES: dict[str, Wire] = {
    wire.name: wire
    for wire in (
        OpenAIChat(),
        OpenAIResponses(),
        GeminiGenerate(),
        GeminiInteractions(),
        AnthropicMessages(),
        OllamaChat(),
        OllamaGenerate(),
        BedrockConverse(),
        BedrockInvoke(),
    )
}
_GEMINI_ARRAY = GeminiGenerateArray()

# Calls of a model: judged. What matches nothing here or below is refused on a model's host.
_CALLS = (
    (re.compile(r"/chat/completions$"), "openai.chat"),
    (re.compile(r"/responses(/input_tokens)?$"), "openai.responses"),
    (re.compile(r"(?:^|/v1)/messages(/count_tokens)?$"), "anthropic.messages"),
    (
        re.compile(r"/(?:models|tunedModels|endpoints)/[^/:]+:(?:generateContent|streamGenerateContent|countTokens)$"),
        "gemini.generate",
    ),
    (re.compile(r"/interactions$"), "gemini.interactions"),
    (re.compile(r"/model/[^/]+/(?:converse|converse-stream|count-tokens)$"), "bedrock.converse"),
    (re.compile(r"/model/[^/]+/(?:invoke|invoke-with-response-stream)$"), "bedrock.invoke"),
    (re.compile(r"/api/chat$"), "ollama.chat"),
    (re.compile(r"/api/generate$"), "ollama.generate"),
)
# Reads that carry neither prompts nor tools.
_HARMLESS = (re.compile(r"/models(/[^/:]+)?$"), re.compile(r"/api/(?:tags|ps|version|hello)$"))


def wire_of(method: str, path: str) -> str | None:
    """Name of the format of a model call; None if it is none. `path` is without query."""
    if method != "POST":
        return None
    return next((name for pattern, name in _CALLS if pattern.search(path)), None)


def wire_at(name: str, path: str) -> Wire:
    """The format called `name` as it is spoken at `path`, which is with its query: Gemini streams in two ways."""
    if name == GeminiGenerate.name and asks_for_array(path):
        return _GEMINI_ARRAY
    return WIRES[name]


def is_harmless(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and any(pattern.search(path) for pattern in _HARMLESS)
