"""What an exchange asks of its shell. The shell performs effects in order and reports back with arrivals."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.arrivals import Headers
from trajectory.record import Attempt


@dataclass(frozen=True, slots=True)
class Detect:
    """Look for personal data in these (text, JSON key) pairs; answer with Detected or DetectionFailed."""

    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request on; answer with ReplyBegan and what follows, or UpstreamFailed."""

    upstream: str
    method: str
    path: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class BeginReply:
    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class SendPart:
    data: bytes


@dataclass(frozen=True, slots=True)
class EndReply:
    pass


@dataclass(frozen=True, slots=True)
class Respond:
    """A whole reply at once; nothing was sent before it."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """Write the attempt down; answer with Committed once it is durable, or CommitFailed."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class StopUpstream:
    """Close the exchange with the upstream: nothing more of its reply is wanted."""


@dataclass(frozen=True, slots=True)
class BreakConnection:
    """Cut the client's connection so that it cannot take what it got for a whole reply."""


Effect = Detect | Forward | BeginReply | SendPart | EndReply | Respond | Commit | StopUpstream | BreakConnection
