"""The `policies:` section of ironcage.yaml: how the limits of the constraints file are applied."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from policies.approvals.settings import ApprovalSettings
from policies.arguments.settings import ArgumentSettings
from policies.constraints import HostList, Section
from policies.redaction.settings import RedactionSettings
from trajectory.prices import Rates

OnExhausted = Literal["refuse", "final_message"]
Price = Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]


class RetrySettings(Section):
    """What happens when constraints.max_retries is spent."""

    on_exhausted: OnExhausted = Field(
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


class ModelPrice(Section):
    """US dollars for a million tokens; what is read from or written to a cache costs as input where it is not said."""

    input: Price = Field(description="Of the prompt.")
    output: Price = Field(description="Of the answer, reasoning included.")
    cache_read: Price | None = Field(default=None, description="Of what is read from the provider's cache.")
    cache_write: Price | None = Field(default=None, description="Of what is written to the provider's cache.")

    def rates(self) -> Rates:
        read, written = self.cache_read, self.cache_write
        return Rates(
            self.input, self.output, self.input if read is None else read, self.input if written is None else written
        )


class SpendSettings(Section):
    """How constraints.spend_limit_usd is applied."""

    per: Literal["trajectory", "session"] = Field(
        default="trajectory", description="What may spend so much: each trajectory, or all of a session together."
    )
    unpriced: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="What becomes of calls of models without a price: refuse, or allow, which does not count them.",
    )
    prices: dict[str, ModelPrice] = Field(
        default_factory=dict,
        description="Prices that hold in place of list prices, by MODEL or UPSTREAM/MODEL; a name that ends in * "
        "matches each that begins so.",
    )
    assumed_output_tokens: Annotated[int, Field(strict=True, gt=0, le=10_000_000)] = Field(
        default=32_768, description="Tokens that an answer is taken to have at most where its request does not say."
    )
    on_exhausted: OnExhausted = Field(
        default="refuse", description="What a client gets that asks for more, as with policies.retries.on_exhausted."
    )


class ContextSettings(Section):
    """How constraints.context_limit_tokens is applied."""

    on_exhausted: OnExhausted = Field(
        default="refuse", description="What a client gets that asks for more, as with policies.retries.on_exhausted."
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
    spend: SpendSettings = Field(
        default=SpendSettings(), description="What counts against the spend budget, and at which prices."
    )
    context: ContextSettings = Field(
        default=ContextSettings(), description="What happens to a prompt beyond the context limit."
    )
    redaction: RedactionSettings | None = Field(
        default=None, description="Masking of personal data; off if absent, on with its defaults if written as {}."
    )
