"""`policies.approvals`: which calls wait for a person, and how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from policies.arguments.settings import ArgumentConditions, ArgumentName, ToolName
from policies.constraints import Section

_DAY_S = 24 * 60 * 60.0


class ApprovedTool(Section):
    """When calls of one tool wait for a person."""

    unless: dict[ArgumentName, ArgumentConditions] = Field(
        default_factory=dict,
        description="What arguments must be for a call to pass without a person, as in policies.tools.arguments; where "
        "there is any doubt a person is asked. Empty: every call waits.",
    )


class ApprovalSettings(Section):
    """Calls that wait until a person has allowed them."""

    tools: Annotated[dict[ToolName, ApprovedTool], Field(min_length=1)] = Field(
        description="Tools whose calls wait for a person: {pay: {unless: {amount: {max: 100}}}, delete_*: {}}. Names "
        "as in constraints.allowed_tools; a name that some agent may take for one of them counts, too. A tool that the "
        "provider runs by itself cannot wait: keep it off that list.",
    )
    timeout_s: Annotated[float, Field(gt=0, le=_DAY_S, allow_inf_nan=False)] = Field(
        default=300.0,
        description="How long a call waits, in seconds; then it is refused. Clients have time-outs of their own.",
    )
    remember: Literal["call", "trajectory"] = Field(
        default="call",
        description="What a person allows: call: this call, once (also where it passes twice: when the model proposes "
        "it and when the agent makes it); trajectory: the same tool with the same arguments at the same place, in this "
        "trajectory.",
    )
