"""The wire formats between which a request can be translated, each with all that takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from proxy.arrivals import Headers
from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.format import Rendered, Wire
from proxy.wire.gemini import GeminiGenerate
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_responses import OpenAIResponses
from replay.swap import naming
from replay.swap.losses import Losses
from replay.swap.naming import Bounds, Names
from replay.swap.neutral import Json, Request
from replay.swap.reading import anthropic_messages as from_messages
from replay.swap.reading import gemini as from_gemini
from replay.swap.reading import openai_chat as from_chat
from replay.swap.reading import openai_responses as from_responses
from replay.swap.replies import anthropic_messages as say_messages
from replay.swap.replies import gemini as say_gemini
from replay.swap.replies import openai_chat as say_chat
from replay.swap.replies import openai_responses as say_responses
from replay.swap.replies.said import Manner, Said
from replay.swap.writing import anthropic_messages as to_messages
from replay.swap.writing import gemini as to_gemini
from replay.swap.writing import openai_chat as to_chat
from replay.swap.writing import openai_responses as to_responses
from replay.turns.choose import TURNS
from replay.turns.contract import Turns

_VERSION = re.compile(r"/v\d+\w*$")
ANTHROPIC_VERSION = ("anthropic-version", "2023-06-01")
"""The version in which sampling parameters are still taken: they are the task's own, and are carried."""


class Reads(Protocol):
    SPELLING: dict[str, str]
    """How the format calls the neutral settings, where it calls them otherwise."""

    def read(self, body: Json, losses: Losses) -> Request: ...


class Writes(Protocol):
    def write(self, request: Request, names: Names, losses: Losses) -> Json: ...


class Replies(Protocol):
    def render(self, said: Said, manner: Manner, losses: Losses) -> Rendered: ...

    def unsaid(self, reply: Json, losses: Losses) -> None:
        """Name what of a candidate's reply has no place in another format."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """`place` is the path of a call of a model, behind the API's version; it may name the model."""

    wire: Wire
    reads: Reads
    writes: Writes
    replies: Replies
    names: Bounds
    ids: Bounds
    version: str
    place: Callable[[str], str]
    headers: Headers = ()
    takes_seed: bool = False
    model_in_path: bool = False

    @property
    def turns(self) -> Turns:
        return TURNS[self.wire.name]

    def path(self, base_path: str, model: str) -> str:
        """Below the path of a base URL, which may name a version of its own."""
        version = "" if _VERSION.search(base_path) else self.version
        return base_path + version + self.place(model)


def _at_model(model: str) -> str:
    return f"/models/{quote(model.removeprefix('models/'), safe='')}:generateContent"


_ALL = (
    Dialect(
        OpenAIChat(), from_chat, to_chat, say_chat,
        names=naming.OPENAI_NAME, ids=naming.CHAT_ID, version="/v1", place=lambda _: "/chat/completions",
        takes_seed=True,
    ),
    Dialect(
        OpenAIResponses(), from_responses, to_responses, say_responses,
        names=naming.OPENAI_NAME, ids=naming.RESPONSES_ID, version="/v1", place=lambda _: "/responses",
    ),
    Dialect(
        AnthropicMessages(), from_messages, to_messages, say_messages,
        names=naming.ANTHROPIC_NAME, ids=naming.ANTHROPIC_ID, version="/v1", place=lambda _: "/messages",
        headers=(ANTHROPIC_VERSION,),
    ),
    Dialect(
        GeminiGenerate(), from_gemini, to_gemini, say_gemini,
        names=naming.GEMINI_NAME, ids=naming.GEMINI_ID, version="/v1beta", place=_at_model,
        takes_seed=True, model_in_path=True,
    ),
)  # fmt: skip
DIALECTS: dict[str, Dialect] = {dialect.wire.name: dialect for dialect in _ALL}
