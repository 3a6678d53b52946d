"""The `policies:` section of ironcage.yaml: how the limits of the constraints file are applied."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from policies.approvals.settings import ApprovalSettings
from policies.arguments.settings import ArgumentSettings
from policies.constraints import HostList, Section
from policies.redaction.settings import RedactionSettings


class RetrySettings(Section):
    """What happens when constraints.max_retries is spent."""

    on_exhausted: Literal["refuse", "final_message"] = Field(
        default="refuse",
        description="refuse: the native error of the route; final_message: a well-formed reply whose text says that "
        "policy ended the run, which stops clients that repeat on every error.",
    )


class ToolSettings(Section):
    """What happens to tools beyond constraints.allowed_tools, and what the others may be called with."""

    offered: Literal["filter", "refuse"] = Field(
        default="filter",
        description="A request that offers such tools: filter takes them out of it, refuse refuses it.",
    )
    arguments: ArgumentSettings = Field(
        default_factory=dict,
        description="What arguments must be, by tool and argument: {file_write: {path: {under: [/workspace]}}}. Names "
        "of tools as in constraints.allowed_tools; an argument is named, or a place within, as a JSONPath: "
        "$.items[*].path.",
    )


class EgressSettings(Section):
    """What may be reached, and what counts as egress."""

    hosts: HostList | None = Field(
        default=None,
        description="Hosts that may be reached beside the configured upstreams: example.com, *.example.com (names "
        "below it) or *, each with an optional :port.",
    )
    count: Literal["both", "sent"] = Field(
        default="both",
        description="What counts against constraints.network_egress_limit_mb: bytes sent and received, or only sent.",
    )


class PolicySettings(Section):
    """How policies are applied; the limits themselves stand in the constraints file."""

    retries: RetrySettings = Field(default=RetrySettings(), description="What happens when the retry budget is spent.")
    tools: ToolSettings = Field(default=ToolSettings(), description="What happens to tools beyond the allowlist.")
    approvals: ApprovalSettings | None = Field(
        default=None, description="Calls of tools that wait until a person has allowed them; none if absent."
    )
    egress: EgressSettings = Field(
        default=EgressSettings(), description="Which hosts may be reached, and which bytes count."
    )
    redaction: RedactionSettings | None = Field(
        default=None, description="Masking of personal data; off if absent, on with its defaults if written as {}."
    )
