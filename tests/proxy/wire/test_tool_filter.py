"""Tools are taken out alike in every turn, whatever a turn says about them: signatures and caches are bound to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.format import Wire
from proxy.wire.gemini import GeminiGenerate
from proxy.wire.gemini_interactions import GeminiInteractions
from proxy.wire.layout import Layout, read_layout
from proxy.wire.ollama import OllamaChat
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_responses import OpenAIResponses
from proxy.wire.spans import members

NAMES = ("a", "b", "c")


def _chat(*names: str) -> list[Any]:
    return [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in names]


def _flat(*names: str) -> list[Any]:
    return [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in names]


def _calling(mode: str, *names: str) -> dict[str, Any]:
    return {
        "toolConfig": {"functionCallingConfig": {"mode": mode, **({"allowedFunctionNames": names} if names else {})}}
    }


CASES: dict[str, tuple[Wire, str, list[Any], list[dict[str, Any]]]] = {
    "chat": (OpenAIChat(), "/v1/chat/completions", _chat(*NAMES), [
        {}, {"tool_choice": "auto"}, {"tool_choice": "required"}, {"tool_choice": "none"},
        {"tool_choice": _chat("a")[0]},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": _chat("a", "b")}}},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": _chat("b")}}},
    ]),
    "responses": (OpenAIResponses(), "/v1/responses", [*_flat(*NAMES), {"type": "web_search"}], [
        {}, {"tool_choice": "auto"}, {"tool_choice": {"type": "function", "name": "a"}}, {"tool_choice": "none"},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "b"}]}},
    ]),
    "messages": (AnthropicMessages(), "/v1/messages", [{"name": name, "input_schema": {}} for name in NAMES], [
        {}, {"tool_choice": {"type": "auto"}}, {"tool_choice": {"type": "tool", "name": "a"}},
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, {"tool_choice": {"type": "none"}},
    ]),
    "gemini": (GeminiGenerate(), "/v1/models/m:generateContent", [
        {"functionDeclarations": [{"name": n} for n in NAMES]}, {"googleSearch": {}},
    ], [
        {}, _calling("AUTO"), _calling("ANY"), _calling("ANY", "a", "b"), _calling("VALIDATED", "b"), _calling("NONE"),
    ]),
    "interactions": (GeminiInteractions(), "/v1/interactions", [*_flat(*NAMES), {"type": "google_search"}], [
        {}, {"generation_config": {"tool_choice": "any"}},
        {"generation_config": {"tool_choice": {"allowed_tools": {"mode": "auto", "tools": ["a", "b"]}}}},
        {"generation_config": {"tool_choice": {"allowed_tools": {"mode": "any", "tools": ["b"]}}}},
    ]),
    "ollama": (OllamaChat(), "/api/chat", _chat(*NAMES), [{}, {"think": True}]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_tools_are_the_same_bytes_in_every_turn_whatever_is_chosen_among_them(name: str) -> None:
    wire, path, tools, choices = CASES[name]
    seen: set[bytes] = set()
    layout: Layout | None = None
    items: list[Any] = []
    for choice in choices:
        items.append({"role": "user", "content": "x"} if wire.list_key != "contents" else {"parts": [{"text": "x"}]})
        if name == "interactions":
            items[-1] = {"type": "user_input", "content": [{"type": "text", "text": "x"}]}
        body = json.dumps({"model": "m", "tools": tools, wire.list_key: items, **choice}).encode()
        layout = read_layout(body, wire.list_key, layout)
        asked = wire.read_request(layout, path)
        wire.drop_tools(layout, frozenset(tool.name for tool in asked.tools) - {"a", "c"})
        sent = b"".join(span.data for span in layout.assembled())
        at = members(sent)["tools"]
        seen.add(sent[at.start : at.end])
        narrowed = {key: value for key, value in json.loads(sent).items() if key in choice}
        assert '"b"' not in json.dumps(narrowed)
    assert len(seen) == 1
    assert b'"b"' not in seen.pop()
