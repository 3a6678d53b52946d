"""The one shape of all rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from policies.ledger import Ledger
from policies.verdict import Verdict
from trajectory.events import Event


class Rule(Protocol):
    """A rule looks at one event and the ledger, and answers at once: no I/O, no clock, no randomness.

    `events` are the types of events that it judges; it sees no others, so that a chunk of a stream costs only
    the rules that count bytes. A rule that names AttemptEnded is told of each end through `judge` and allows it.
    A rule that raises is a refusal (policy_failed); the engine sees to that. What a rule reserves for an
    operation that another rule refuses is given back by the engine. A rule that may answer AWAIT_ARGUMENTS says so
    by an attribute `reads_arguments` that is true: then calls are held back until it can be asked again. One that goes
    by how large a prompt or an answer is says so by `reads_sizes`: what no rule reads is not measured.
    """

    @property
    def name(self) -> str: ...

    @property
    def events(self) -> Collection[type[Event]]: ...

    def judge(self, event: Event, ledger: Ledger) -> Verdict: ...
