"""The formats of model APIs that the parity matrix has columns for."""

from __future__ import annotations

from tests.support.parity.anthropic import MESSAGES
from tests.support.parity.google import GEMINI, INTERACTIONS
from tests.support.parity.openai import CHAT, RESPONSES

MODEL_FORMATS = (CHAT, RESPONSES, MESSAGES, GEMINI, INTERACTIONS)
