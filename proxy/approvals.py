"""Who decides on a call that a rule leaves to a person: live the desk, in a replay what was decided then."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

Outcome = Literal["allowed", "denied", "timed_out"]


class ApprovalAsked(Struct, frozen=True):
    """A call that waits. `arguments` is JSON as it may be shown and kept: personal data masked."""

    id: str
    session: str
    trajectory: str
    task: str | None
    agent: str | None
    tool: str
    arguments: str
    identity: str
    """Digest of tool, canonical arguments and place, all masked: the same call asked again, also in a replay, has the
    same.
    """
    rule: str
    why: str
    asked_at_s: float
    """Seconds since 1970."""
    timeout_s: float
    place: str = ""
    """Where it is made: upstream, method and path. Empty where a model proposes it."""


class Decision(Struct, frozen=True):
    """`by` is who decided, `reason` what they said of it; both may be shown to the model and are recorded."""

    outcome: Outcome
    by: str = ""
    reason: str = ""


class Approver(Protocol):
    async def decide(self, asked: ApprovalAsked) -> Decision:
        """The decision, or timed_out after `asked.timeout_s`. Cancelled where the client goes away first."""
