"""Which wire formats the engine itself can carry on a conversation in."""

from __future__ import annotations

from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.gemini import GeminiGenerate
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_responses import OpenAIResponses
from replay.turns.anthropic_messages import MessagesTurns
from replay.turns.contract import Turns
from replay.turns.gemini import GeminiTurns
from replay.turns.openai_chat import ChatTurns
from replay.turns.openai_responses import ResponsesTurns

TURNS: dict[str, Turns] = {
    OpenAIChat.name: ChatTurns(),
    OpenAIResponses.name: ResponsesTurns(),
    AnthropicMessages.name: MessagesTurns(),
    GeminiGenerate.name: GeminiTurns(),
}
