"""People's decisions in a replay: those that were recorded of the same call, and what becomes of the other calls.

The same call is one with the same identity: the same tool with the same arguments, both as they are masked. Asked more
often than it was recorded, the last decision stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast, get_args

from proxy.approval_desk import DESK
from proxy.approvals import ApprovalAsked, Decision, Outcome
from replay.task import Task
from trajectory.record import VerdictNote
from trajectory.runs import Approvals
from trajectory.store import Store

Unmatched = Literal["recorded", "allow", "deny"]
"""What decides on calls that the recorded run has no decision on. recorded: nothing does, and they are denied."""
Recorded = Mapping[str, Sequence[Decision]]
"""By identity, in the order in which they were made."""

_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
NOBODY_ASKED = Decision("denied", "replay: nobody was asked", "the recorded run had no such call")
NOT_EXECUTED = Decision("allowed", "replay: nothing is executed")
DECIDED_BEFORE = Decision("allowed", "replay: decided when the model proposed it")
_UNMATCHED: dict[Unmatched, Decision] = {
    "recorded": NOBODY_ASKED,
    "allow": Decision("allowed", "replay: --approvals allow"),
    "deny": Decision("denied", "replay: --approvals deny"),
}


class Always:
    """An Approver with one decision on all calls."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    async def decide(self, asked: ApprovalAsked) -> Decision:
        return self._decision


class RecordedApprovals:
    """An Approver for one run. `load` is asked in a thread, once the first call waits: most runs have none."""

    def __init__(self, load: Callable[[], Recorded], unmatched: Unmatched) -> None:
        self._load = load
        self._unmatched = _UNMATCHED[unmatched]
        self._left: dict[str, list[Decision]] | None = None
        self._loading = asyncio.Lock()
        self._matches = self._others = 0

    async def decide(self, asked: ApprovalAsked) -> Decision:
        async with self._loading:
            if self._left is None:
                recorded = await asyncio.to_thread(self._load)
                self._left = {identity: list(decisions) for identity, decisions in recorded.items()}
        left = self._left.get(asked.identity)
        if not left:
            self._others += 1
            return self._unmatched
        self._matches += 1
        return left.pop(0) if len(left) > 1 else left[0]

    def given(self) -> Approvals | None:
        """None where nobody had to be asked."""
        if not self._matches + self._others:
            return None
        allowed = self._unmatched.outcome == "allowed"
        return Approvals(recorded=self._matches, unmatched=self._others, unmatched_allowed=allowed)


def decisions_of(store: Store, task: Task) -> Recorded:
    """All of the session of the task's recorded run: a call may as well have been a sub-agent's."""
    session = store.trajectory(task.source).session
    found: dict[str, list[Decision]] = {}
    for summary in sorted(store.find(session=session), key=lambda one: (one.started_at, one.id)):
        for step in store.trajectory(summary.id).steps:
            for note in (note for view in step.attempts for note in view.verdicts):
                if _is_decision(note):
                    decision = Decision(cast("Outcome", note.code), note.by, note.message)
                    found.setdefault(note.identity, []).append(decision)
    return found


def _is_decision(note: VerdictNote) -> bool:
    """How full the desk was that day says nothing of the call."""
    is_desks = note.code == "denied" and note.by == DESK
    return note.action == "ask" and note.code in _OUTCOMES and bool(note.identity) and not is_desks
