"""What carrying on a conversation takes in a wire format: append what the model said, append what tools answered.

What the model said goes back as it came (reasoning, signatures, ids): its provider checks that nothing of it changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from trajectory.conversation import ToolCall

Fields = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the model. `pieces` are what the next request's conversation list takes over of it.

    `kinds` names the form of each call where a format has several. `pauses` where the provider wants to be asked
    again with the turn as it is.
    """

    pieces: tuple[msgspec.Raw, ...]
    text: str
    calls: tuple[ToolCall, ...]
    kinds: tuple[str, ...] = ()
    pauses: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What a tool answered to a call of a turn."""

    call: ToolCall
    text: str
    is_error: bool = False
    kind: str = ""


class Turns(Protocol):
    list_key: str
    """The key of the conversation list."""

    def path(self, path: str) -> str:
        """Where a whole reply is asked for, in place of the recorded `path`, which may ask for a stream."""

    def opened(self, fields: Fields) -> list[msgspec.Raw]:
        """The conversation so far, taken out of a request's `fields` with all that asks for a stream."""

    def turn(self, reply: bytes) -> Turn:
        """Raises FormatError or msgspec.DecodeError for what is no reply."""

    def results(self, answered: Sequence[Answered]) -> list[msgspec.Raw]:
        """What the conversation list takes of the answers to one turn's calls, in their order."""


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def listed(fields: Fields, key: str) -> list[msgspec.Raw]:
    return msgspec.json.decode(fields.pop(key, msgspec.Raw(b"[]")), type=list[msgspec.Raw])
