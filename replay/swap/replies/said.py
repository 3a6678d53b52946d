"""What a candidate said, free of its format: what is written for the agent in the agent's own."""

from __future__ import annotations

import json
from dataclasses import dataclass

from replay.swap.losses import Losses
from replay.swap.neutral import Call
from trajectory.conversation import Finish, Usage


@dataclass(frozen=True, slots=True)
class Said:
    """`mark` is unlike that of any other reply of the session, and makes its ids."""

    mark: str
    model: str
    text: str
    calls: tuple[Call, ...]
    finish: Finish
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Manner:
    """How the agent wants its reply. `as_array`: a stream of Gemini's as one JSON array."""

    streamed: bool
    includes_usage: bool = False
    as_array: bool = False


EVENT_STREAM = "text/event-stream"


def encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def lost_finish(said: Said, losses: Losses) -> None:
    if said.finish in ("error", "cancelled"):
        losses.add("text", "the end of a reply", f"that it ended in {said.finish} cannot be said there")


def input_counts(usage: Usage | None) -> tuple[int, int]:
    """Tokens read, and those of them from a cache; 0 where nobody said, for formats that must have a number."""
    return ((usage.input_tokens or 0), (usage.cache_read_tokens or 0)) if usage else (0, 0)


def output_counts(usage: Usage | None) -> tuple[int, int]:
    """Tokens written, and those of them that were reasoning; 0 where nobody said."""
    return ((usage.output_tokens or 0), (usage.reasoning_tokens or 0)) if usage else (0, 0)


def uncounted(said: Said, losses: Losses) -> None:
    if said.usage is None or said.usage.input_tokens is None or said.usage.output_tokens is None:
        losses.add("unknown", "usage of replies", "the candidate did not say: 0 stands where a number must")
