"""The neutral request: all that more than one wire format can say, so that another can say it again.

Richer than trajectory.conversation, which holds what policies and scores need: this also holds pictures, settings,
and what a tool's result is made of. Messages are in canonical form: results of one turn stand together in one `tool`
message, and what an assistant said and called in one turn is one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trajectory.conversation import Text

Role = Literal["system", "user", "assistant", "tool"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, a sound or a file: either `data` (base64) or `url`. `media_type` is empty where nobody said."""

    kind: Literal["image", "audio", "file"]
    media_type: str = ""
    data: str = ""
    url: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """`arguments` is the raw text; of a freeform tool its plain input, else usually a JSON object."""

    id: str
    name: str
    arguments: str
    is_freeform: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`name` is that of the tool, empty where the format does not repeat it."""

    call_id: str
    parts: tuple[Text | Media, ...]
    is_error: bool = False
    name: str = ""
    is_freeform: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(part.text for part in self.parts if isinstance(part, Text))


Part = Text | Media | Call | Result


@dataclass(frozen=True, slots=True)
class Message:
    """`native` is the turn as the candidate itself wrote it, where it did: pieces for its own conversation list.
    `native_ids` are then the ids that its calls have there, in order; empty where they have none.
    """

    role: Role
    parts: tuple[Part, ...]
    native: tuple[Json, ...] = ()
    native_ids: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(part for part in self.parts if isinstance(part, Call))

    @property
    def results(self) -> tuple[Result, ...]:
        return tuple(part for part in self.parts if isinstance(part, Result))

    @property
    def text(self) -> str:
        """Without a break between parts: citations cut a sentence into many."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """`schema` is JSON Schema. `strict` None where the request did not say. A freeform tool has no schema."""

    name: str
    description: str = ""
    schema: Json = field(default_factory=dict)
    strict: bool | None = None
    is_freeform: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`names` narrows to some tools; empty means all that are offered."""

    mode: Literal["auto", "required", "none"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The reply is to be JSON: any, or by `schema`."""

    schema: Json | None = None
    name: str = "reply"
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """None, or empty, where the request did not say. `parallel` False: at most one call in a turn."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    effort: str | None = None
    verbosity: str | None = None
    parallel: bool | None = None
    format: JsonFormat | None = None
    end_user: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice | None = None
    settings: Settings = Settings()
    streamed: bool = False
    includes_usage: bool = False
    """A chat stream is to end with its usage."""
    continues: str | None = None
    """Id of the reply whose conversation goes on, where the request holds only what is new."""
    instructions: tuple[Message, ...] = ()
    """Of this request alone: they are not part of the conversation that a later one continues."""

    @property
    def freeform(self) -> frozenset[str]:
        return frozenset(tool.name for tool in self.tools if tool.is_freeform)


def canonical(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Neighbouring messages of an assistant, and those of tools, as one; empty ones left out."""
    out: list[Message] = []
    for message in messages:
        if not message.parts:
            continue
        if out and out[-1].role == message.role and message.role in ("assistant", "tool"):
            out[-1] = replace(out[-1], parts=out[-1].parts + message.parts)
        else:
            out.append(message)
    return tuple(out)
