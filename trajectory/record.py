"""What is written down of one attempt. Everything here is already masked: no raw secret, no credential."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from trajectory.conversation import Reply, ToolDefinition
from trajectory.events import End

Kind = Literal["model", "tool", "web"]
"""model: a call of a model; tool: a call of a configured tool; web: any other HTTP exchange."""
Door = Literal["base_url", "proxy", "engine"]


def span_digest(data: bytes) -> bytes:
    """16 bytes of BLAKE2b: the address of a span in the store."""
    return hashlib.blake2b(data, digest_size=16).digest()


class Span(Struct, frozen=True):
    """A run of body bytes with its address. Equal spans (a resent message, a tool list) are stored once."""

    digest: bytes
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> Span:
        return cls(span_digest(data), data)


Body = tuple[Span, ...]
"""A body is its spans in order: joined, they are the exact bytes."""


def body_digest(body: Body) -> bytes:
    """Address of a whole body: the digest of its spans' digests; the same spans give the same address."""
    return span_digest(b"".join(span.digest for span in body))


@dataclass(frozen=True, slots=True)
class VerdictNote:
    """A verdict other than allow, as recorded. `subject` is what was judged (a tool name, a host, a data class).

    With the action `ask` the code is what became of the question: allowed, denied, timed_out, or withdrawn where
    nobody decided before the client or the proxy was gone.
    """

    action: Literal["rewrite", "refuse", "ask", "cut"]
    rule: str
    code: str
    message: str
    subject: str = ""
    count: int = 1
    by: str = ""
    """Who decided, where a person was asked."""
    identity: str = ""
    """Digest of the call that was asked about: the same call, in a replay too, has the same."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call as it crossed the proxy, whoever proposed it."""

    name: str
    arguments: str
    is_error: bool = False


class Attempt(Struct, frozen=True):
    """One exchange made on behalf of an operation.

    Times: `started_at` is Unix seconds; `first_byte_s` and `total_s` are seconds since then, None if the reply
    never began, without those in which it waited for people to decide (`waited_s` in `extra`). `request` is what the
    upstream was sent (or would have been, if refused), `reply` what it answered, `client_reply` what the client was
    given where that differs; all masked where redaction is on.
    """

    id: str
    operation: str
    trajectory: str
    session: str
    number: int
    kind: Kind
    door: Door
    wire: str
    upstream: str
    host: str
    method: str
    path: str
    started_at: float
    end: End
    status: int | None = None
    error: str | None = None
    first_byte_s: float | None = None
    total_s: float = 0.0
    request: Body = ()
    reply: Body = ()
    client_reply: Body | None = None
    request_bytes: int = 0
    reply_bytes: int = 0
    digest: str = ""
    streamed: bool = False
    model: str | None = None
    tools: tuple[ToolDefinition, ...] = ()
    answer: Reply | None = None
    tool: ToolUse | None = None
    verdicts: tuple[VerdictNote, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    task: str | None = None
    agent: str | None = None
    matched_by: str = ""
    """Which rule found the session (prefix, header, tool_call_id, history, new): recorded with its strength."""
    extra: dict[str, str] = {}
