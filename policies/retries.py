"""The retry budget: how often a trajectory may send again what has failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from policies.ledger import Ledger
from policies.verdict import ALLOW, Refuse, Verdict
from trajectory.events import AttemptEnded, Event, ModelAsked, ToolAsked

_ASKS = (ModelAsked, ToolAsked)


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Up to `max_retries` retries in one trajectory, over all of its operations; 0 allows none.

    An ask is a retry if the last attempt at the same canonical body in the same trajectory failed, was cut or was
    aborted. Retry headers are not consulted: they start again at 0 in each outer loop, and most clients send none.
    A refused attempt changes nothing: it neither costs a retry nor makes the next one free.
    """

    max_retries: int
    on_exhausted: Literal["refuse", "final_message"] = "refuse"
    name: ClassVar[str] = "retry_budget"
    events: ClassVar[frozenset[type[Event]]] = frozenset({ModelAsked, ToolAsked, AttemptEnded})

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, AttemptEnded):
            if event.end != "refused":
                ledger.note_end(event.trajectory, event.digest, event.end != "complete")
            return ALLOW
        if not isinstance(event, _ASKS) or not ledger.failed_before(event.trajectory, event.digest):
            return ALLOW
        account = f"retries:{event.trajectory}"
        if ledger.reserve(account, 1, self.max_retries):
            return ALLOW
        return self._refusal(event, ledger.total(account))

    def _refusal(self, event: ModelAsked | ToolAsked, used: int) -> Refuse:
        ends = self.on_exhausted == "final_message" and isinstance(event, ModelAsked)
        return Refuse(
            code="retry_budget_exhausted",
            rule=self.name,
            message=(
                f"The retry budget of this trajectory is spent: {used} of {self.max_retries} retries were made "
                f"(constraints.max_retries), and this request repeats one that failed. "
                f"A different request is still allowed; this one will be refused however often it is sent."
            ),
            subject=event.upstream or event.host,
            ending="final_message" if ends else "error",
        )
