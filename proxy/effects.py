"""What an exchange asks of its shell. The shell performs effects in order and reports back with arrivals."""

from __future__ import annotations

from msgspec import Struct

from proxy.approvals import ApprovalAsked
from proxy.arrivals import Headers
from trajectory.record import Attempt


class Detect(Struct, frozen=True):
    """Look for personal data in these (text, JSON key) pairs; answer with Detected or DetectionFailed."""

    texts: tuple[tuple[str, str], ...]


class AskApproval(Struct, frozen=True):
    """Ask people about these calls; answer with Decided. Where the client leaves first, nobody need answer any more."""

    asked: tuple[ApprovalAsked, ...]
    keep_alive: bytes = b""
    """What may be sent to the client meanwhile, again and again; empty where that has no meaning."""


class Forward(Struct, frozen=True):
    """Send the request on; answer with ReplyBegan and what follows, or UpstreamFailed."""

    upstream: str
    method: str
    path: str
    headers: Headers
    body: bytes


class BeginReply(Struct, frozen=True):
    status: int
    headers: Headers


class SendPart(Struct, frozen=True):
    data: bytes


class EndReply(Struct, frozen=True):
    pass


class Respond(Struct, frozen=True):
    """A whole reply at once; nothing was sent before it."""

    status: int
    headers: Headers
    body: bytes


class Commit(Struct, frozen=True):
    """Write the attempt down; answer with Committed once it is durable, or CommitFailed."""

    attempt: Attempt


class StopUpstream(Struct, frozen=True):
    """Close the exchange with the upstream: nothing more of its reply is wanted."""


class BreakConnection(Struct, frozen=True):
    """Cut the client's connection so that it cannot take what it got for a whole reply."""


Effect = (
    Detect
    | AskApproval
    | Forward
    | BeginReply
    | SendPart
    | EndReply
    | Respond
    | Commit
    | StopUpstream
    | BreakConnection
)
