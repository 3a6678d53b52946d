"""The neutral conversation: what every wire format is read into. Policies and scoring see only this.

Tool arguments stay raw text: they may be invalid JSON, and re-encoding would change what the model wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["end", "tool_call", "length", "content_filter", "refusal", "pause", "error", "cancelled"]
"""Why a turn ended. `pause`: it has not; the client sends it back as it is, and the model goes on."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model proposed. `arguments` is the raw text of the arguments, usually a JSON object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered to the call `call_id`. Formats without an error flag leave `is_error` False."""

    call_id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part that is carried, not read: an image, a file, signed reasoning, or something newer than this code."""

    kind: str


Part = Text | ToolCall | ToolResult | Opaque


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All text parts and tool results joined with newlines; empty if there are none."""
        return "\n".join(p.text for p in self.parts if isinstance(p, Text | ToolResult))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(p for p in self.parts if isinstance(p, ToolCall))

    @property
    def is_opaque(self) -> bool:
        """It has parts, and none of them can be read."""
        return bool(self.parts) and all(isinstance(p, Opaque) for p in self.parts)


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as offered to a model. `schema` is the raw JSON text of the parameters' JSON Schema."""

    name: str
    description: str = ""
    schema: str = "{}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one model call; None where the provider said nothing (never 0 for unknown).

    `input_tokens` includes tokens read from a cache and written to it, `output_tokens` includes reasoning: formats that
    exclude them are summed by their reader.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One assistant turn. `finish` is None where the stream ended without saying why.

    `id` is the provider's id of the reply, which a later request may continue; `reasoning_bytes` are those of thoughts
    that were shown, where the format may leave out how many tokens there were.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    reasoning_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Neither text nor a tool call: a completion that an agent cannot act on."""
        return not self.calls and not self.text.strip()
