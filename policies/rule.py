"""The one shape of all rules."""

from __future__ import annotations

from typing import Protocol

from policies.ledger import Ledger
from policies.verdict import Verdict
from trajectory.events import Event


class Rule(Protocol):
    """A rule looks at one event and the ledger, and answers at once: no I/O, no clock, no randomness.

    A rule that raises is a refusal (policy_failed); the engine sees to that.
    """

    name: str

    def judge(self, event: Event, ledger: Ledger) -> Verdict: ...
