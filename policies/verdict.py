"""What a policy says of an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Code = Literal[
    "retry_budget_exhausted",
    "tool_not_allowed",
    "tool_arguments_refused",
    "egress_host_refused",
    "egress_budget_exhausted",
    "spend_budget_exhausted",
    "context_budget_exhausted",
    "time_budget_exhausted",
    "approval_denied",
    "approval_timed_out",
    "sensitive_data_refused",
    "route_refused",
    "unreadable_body",
    "policy_failed",
    "recording_unavailable",
    "ledger_unavailable",
]
CODES: tuple[Code, ...] = get_args(Code)
"""Stable machine codes of refusals: clients, dashboards and scorers match on them."""


@dataclass(frozen=True, slots=True)
class Allow:
    pass


@dataclass(frozen=True, slots=True)
class Refuse:
    """`message` says which rule, why, and what would be allowed, in a sentence that a model can read.

    `ending` is how a model route is to say no: the route's native error, or a well-formed reply whose text is
    `message` (the only refusal that stops every client). Other routes always answer with the error.
    """

    code: Code
    rule: str
    message: str
    subject: str = ""
    ending: Literal["error", "final_message"] = "error"


@dataclass(frozen=True, slots=True)
class DropTools:
    """Take these tools out of the list that the model is offered; the rest goes on byte for byte."""

    rule: str
    names: frozenset[str]
    message: str


@dataclass(frozen=True, slots=True)
class AwaitArguments:
    """Of a proposed call whose arguments are still arriving: the rules cannot say before they are there."""


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Of a call whose arguments are known: it waits until a person has allowed it, and is refused otherwise.

    `arguments` is what the person is asked about: the arguments as JSON in a canonical form.
    """

    rule: str
    why: str
    arguments: str
    timeout_s: float
    remembers: bool = False
    """The same call, allowed once, need not be asked about again in its trajectory."""


ALLOW = Allow()
AWAIT_ARGUMENTS = AwaitArguments()
Verdict = Allow | AskPerson | AwaitArguments | DropTools | Refuse
