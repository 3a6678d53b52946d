"""What reaches an exchange. `at_s` is seconds since the exchange began, on the shell's monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from proxy.approvals import Decision

Headers = tuple[tuple[str, str], ...]
"""Names as they came, in order; repeated names stay repeated."""


class RequestArrived(Struct, frozen=True):
    """The whole request. `headers` are without those that concern only this hop or ironcage itself."""

    headers: Headers
    body: bytes
    at_s: float = 0.0


class Detected(Struct, frozen=True):
    """The texts that the exchange asked about are in the redactor's memory now."""

    at_s: float


class DetectionFailed(Struct, frozen=True):
    """A detector could not finish: the exchange refuses.

    `message` is for the client, where the detector declined the text by rule (too long, too many values); empty
    where it broke.
    """

    at_s: float
    message: str = ""


class Decided(Struct, frozen=True):
    """What people have decided, by the ids of the questions. Calls that are not among them are refused."""

    decisions: Mapping[str, Decision]
    at_s: float


class ReplyBegan(Struct, frozen=True):
    status: int
    headers: Headers
    at_s: float
    length: int | None = None
    """Content-Length, if the upstream gave one."""


class ReplyPart(Struct, frozen=True):
    data: bytes
    at_s: float


class ReplyEnded(Struct, frozen=True):
    at_s: float


class UpstreamFailed(Struct, frozen=True):
    """The upstream broke: refused the connection, stalled past its time-out, or reset (before or in its reply)."""

    kind: Literal["unreachable", "timeout", "reset"]
    message: str
    at_s: float


class ClientLeft(Struct, frozen=True):
    at_s: float


class Committed(Struct, frozen=True):
    at_s: float


class CommitFailed(Struct, frozen=True):
    at_s: float


Arrival = (
    RequestArrived
    | Detected
    | DetectionFailed
    | Decided
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
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value
    return ""


def as_pairs(headers: Mapping[str, str]) -> Headers:
    return tuple(headers.items())
