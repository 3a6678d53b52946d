"""What policies judge: frozen facts about a trajectory, free of any vendor's JSON.

An event is judged before what it tells of is let through, except `AttemptEnded`, which settles.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trajectory.conversation import Usage

End = Literal["complete", "failed", "cut", "aborted", "refused"]
"""How an attempt ended. complete: the upstream's whole reply reached its end (any status below 400);
failed: an error status, or no reply at all; cut: the reply broke off before its end; aborted: the client
went away first; refused: policy ended it."""


class PromptSize(Struct, frozen=True):
    """How large a prompt is: what the provider has counted of it before, and what is new since then."""

    tokens: int = 0
    """As the provider counted the trajectory's last prompt, where this one begins with it."""
    counted_bytes: int = 0
    """JSON text of what `tokens` counts."""
    text_bytes: int = 0
    """Of what is new: JSON text as it stands in the body."""
    data_bytes: int = 0
    """Of what is new: media given inline, and what only the provider can read."""
    media: int = 0
    """Images, sounds and documents among what is new."""
    elsewhere: int = 0
    """What is referred to and not here: files, pages, a conversation that the provider keeps."""
    tokens_per_byte: float | None = None
    """Of the trajectory's last prompt, as the provider counted it; None where it has not."""


class ModelAsked(Struct, frozen=True):
    """An agent asks a model. `digest` is that of the canonical JSON body, equal for retries of one operation."""

    trajectory: str
    upstream: str
    host: str
    model: str
    digest: str
    body_bytes: int
    tools: tuple[str, ...] = ()
    forced_tool: str | None = None
    session: str = ""
    at_s: float = 0.0
    """Unix time, by which prices are looked up."""
    prompt: PromptSize | None = None
    """None where no rule reads it, or no answer is asked for."""
    max_tokens: int | None = None
    """Most tokens of one answer; None where the request does not limit them, or as nobody can read it."""
    answers: int = 1
    counts: bool = False
    """Tokens are counted, and no answer is asked for."""


class ToolAsked(Struct, frozen=True):
    """An agent calls a tool over HTTP. `upstream` is None for a host that the configuration does not name.

    `tool` is the name that an allowlist knows the call by, `arguments` the raw body or query text.
    """

    trajectory: str
    upstream: str | None
    host: str
    tool: str
    digest: str
    body_bytes: int
    arguments: str = ""
    aliases: tuple[str, ...] = ()
    """Other names that an allowlist may know the call by: one of all of them is enough."""
    unread: str = ""
    """Why `arguments` may not be all that the tool gets, or not as the tool gets it; empty if it is."""


class CallProposed(Struct, frozen=True):
    """A model's reply proposes a tool call. `arguments` is None while they are still arriving."""

    trajectory: str
    name: str
    call_id: str = ""
    arguments: str | None = None
    aliases: tuple[str, ...] = ()
    """As in ToolAsked."""


class BytesMoved(Struct, frozen=True):
    """Payload bytes are about to cross: `sent` towards the upstream, `received` towards the agent."""

    trajectory: str
    host: str
    sent: int = 0
    received: int = 0


class AttemptEnded(Struct, frozen=True):
    """An attempt is over; budgets settle and the retry rule learns whether the same body is a retry next time."""

    trajectory: str
    digest: str
    end: End
    asked: ModelAsked | None = None
    """The model's ask that policy let through; None where it did not, or where a tool was asked. None with all that
    follows, too, where no rule reads sizes."""
    is_free: bool = False
    """Nobody bills it: it never reached the provider, or was answered with an error."""
    usage: Usage | None = None
    model: str | None = None
    """The model that answered, as its provider names it."""
    text_bytes: int = 0
    """Of the text and the calls that were read of an answer."""
    answer_bytes: int | None = None
    """Most bytes of all that the model wrote; None where it may have written what was not seen here."""


Event = ModelAsked | ToolAsked | CallProposed | BytesMoved | AttemptEnded
