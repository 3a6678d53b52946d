"""Questions for the desk, and agents that wait there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from proxy.approvals import ApprovalAsked, Decision

if TYPE_CHECKING:
    from proxy.approval_desk import Desk

ALLOWED = Decision("allowed", "ada", "as agreed")
DENIED = Decision("denied", "bob", "not on a Friday")


def asked(number: int = 0, **fields: Any) -> ApprovalAsked:
    """Question `number` of trajectory s-1, waiting a minute; a number is also its identity."""
    values: dict[str, Any] = {
        "id": f"q-{number}",
        "session": "s-1",
        "trajectory": "s-1",
        "task": "t-1",
        "agent": None,
        "tool": "wire_money",
        "arguments": '{"to": "acme", "cents": 100}',
        "identity": f"identity-{number}",
        "rule": "approvals",
        "why": "Calls of wire_money wait for a person.",
        "asked_at_s": 1_700_000_000.0,
        "timeout_s": 60.0,
        **fields,
    }
    return ApprovalAsked(**values)


async def waits(desk: Desk, question: ApprovalAsked) -> asyncio.Task[Decision]:
    """An agent that waits; returns once it lies on the desk, or was answered at once."""
    task = asyncio.ensure_future(desk.decide(question))
    before = desk.version
    change = asyncio.ensure_future(desk.changed(before))
    await asyncio.wait({task, change}, return_when=asyncio.FIRST_COMPLETED)
    change.cancel()
    return task


async def leaves(agent: asyncio.Task[Decision]) -> None:
    agent.cancel()
    await asyncio.wait({agent})
