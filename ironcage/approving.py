"""Decisions on calls that wait for a person: what the admin port takes and gives, and the words for it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ironcage.console.wording import count, seconds, when
from ironcage.readable import visible
from proxy.approval_desk import Question, Settled


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A decision as it is asked for."""

    outcome: Literal["allowed", "denied"]
    by: Annotated[str, Meta(max_length=100)] = ""
    reason: Annotated[str, Meta(max_length=500)] = ""


class Waiting(Struct, frozen=True):
    """What GET /api/approvals answers. Asked with `?since=` its `version`, the next answer waits for a change."""

    version: int
    keep_s: float
    questions: list[Question]


def state_of(question: Question, keep_s: float) -> str:
    holds = f"decision holds for {seconds(keep_s)} if it asks again."
    match question.state:
        case "waiting":
            return f"{count(question.callers, 'caller')} waiting with this same call." if question.callers > 1 else ""
        case "left":
            return f"The agent has gone. Your {holds}"
        case "timed_out":
            return f"Nobody decided in time, and the agent was told so. Your {holds}"
        case "held":
            decision = question.decision
            assert decision is not None
            left = f"holds for another {seconds(question.time_left_s)}, once, if it asks again."
            return f"{decision.outcome.capitalize()} by {visible(decision.by)}. The agent has gone: this {left}"


def said_of(settled: Settled) -> str:
    """Such as: denied by bob at 2026-11-23 12:00:00 UTC (wire_money): not on a Friday."""
    decision = settled.decision
    reason = f": {visible(decision.reason)}" if decision.reason else ""
    held = ", held for the agent that has gone" if settled.is_held else ""
    at = when(settled.at_s)
    return f"{decision.outcome} by {visible(decision.by)} at {at} UTC ({visible(settled.asked.tool)}){held}{reason}"
