"""What reaches an exchange. `at_s` is seconds since the exchange began, on the shell's monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Headers = tuple[tuple[str, str], ...]
"""Names as they came, in order; repeated names stay repeated."""


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """The whole request. `headers` are without those that concern only this hop or ironcage itself."""

    headers: Headers
    body: bytes
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Detected:
    """The texts that the exchange asked about are in the redactor's memory now."""

    at_s: float


@dataclass(frozen=True, slots=True)
class DetectionFailed:
    """A detector could not finish: the exchange refuses."""

    at_s: float


@dataclass(frozen=True, slots=True)
class ReplyBegan:
    status: int
    headers: Headers
    at_s: float
    length: int | None = None
    """Content-Length, if the upstream gave one."""


@dataclass(frozen=True, slots=True)
class ReplyPart:
    data: bytes
    at_s: float


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    at_s: float


@dataclass(frozen=True, slots=True)
class UpstreamFailed:
    """The upstream broke: refused the connection, stalled past its time-out, or reset (before or in its reply)."""

    kind: Literal["unreachable", "timeout", "reset"]
    message: str
    at_s: float


@dataclass(frozen=True, slots=True)
class ClientLeft:
    at_s: float


@dataclass(frozen=True, slots=True)
class Committed:
    at_s: float


@dataclass(frozen=True, slots=True)
class CommitFailed:
    at_s: float


Arrival = (
    RequestArrived
    | Detected
    | DetectionFailed
    | ReplyBegan
    | ReplyPart
    | ReplyEnded
    | UpstreamFailed
    | ClientLeft
    | Committed
    | CommitFailed
)


def header(headers: Headers, name: str) -> str:
    """The first value of `name` (lower case), or an empty string."""
    return next((value for key, value in headers if key.lower() == name), "")


def as_pairs(headers: Mapping[str, str]) -> Headers:
    return tuple(headers.items())
