"""From settings to rules: the one place that knows which limit makes which rule."""

from __future__ import annotations

from collections.abc import Collection

from policies.approvals.rule import Approvals
from policies.arguments.rule import ToolArguments
from policies.calls_within import CallsWithin
from policies.constraints import Constraints
from policies.context import ContextLimit
from policies.egress import EgressLimit
from policies.hosts import check_pattern
from policies.prices import PriceList
from policies.retries import RetryBudget
from policies.rule import Rule
from policies.settings import PolicySettings, SpendSettings
from policies.spend import SpendBudget
from policies.tools import ToolAllowlist
from trajectory.errors import OperatorError
from trajectory.prices import load_prices


def build_rules(
    constraints: Constraints, settings: PolicySettings, configured_hosts: Collection[str]
) -> tuple[Rule, ...]:
    """The rules in the order to ask them: those that only look come first, those that reserve a budget last.

    `configured_hosts` are the hosts of the upstreams, with their port where it is not the default. A limit that
    is None makes no rule, but hosts are always judged. Raises OperatorError if hosts are named in two places, or
    a configured host cannot be read.
    """
    limits = constraints.constraints
    rules: list[Rule] = []
    if limits.allowed_tools is not None:
        rules.append(ToolAllowlist(limits.allowed_tools, settings.tools.offered))
    if settings.tools.arguments:
        rules.append(ToolArguments(settings.tools.arguments))
    if settings.approvals is not None:
        rules.append(Approvals(settings.approvals))
    if rules:
        rules.append(CallsWithin(rules))
    if limits.context_limit_tokens is not None:
        rules.append(ContextLimit(limits.context_limit_tokens, settings.context.on_exhausted))
    rules.append(
        EgressLimit(
            limit_bytes=constraints.egress_limit_bytes,
            hosts=_egress_hosts(constraints, settings),
            configured_hosts=[_checked(host) for host in configured_hosts],
            count=settings.egress.count,
        )
    )
    if limits.max_retries is not None:
        rules.append(RetryBudget(limits.max_retries, settings.retries.on_exhausted))
    if limits.spend_limit_usd is not None:
        rules.append(spend_budget(limits.spend_limit_usd, settings.spend))
    return tuple(rules)


def spend_budget(limit_usd: float, settings: SpendSettings) -> SpendBudget:
    load_prices()  # now, and not while the first call waits
    return SpendBudget(
        limit_usd,
        PriceList({name: price.rates() for name, price in settings.prices.items()}),
        settings.per,
        settings.unpriced,
        settings.assumed_output_tokens,
        settings.on_exhausted,
    )


def _egress_hosts(constraints: Constraints, settings: PolicySettings) -> tuple[str, ...] | None:
    limits, egress = constraints.constraints, settings.egress
    if limits.egress_hosts is not None and egress.hosts is not None:
        raise OperatorError(
            "hosts are named both in constraints.egress_hosts and in policies.egress.hosts",
            hint="keep one of them: in the constraints file they hold for replays elsewhere, too",
        )
    return limits.egress_hosts if limits.egress_hosts is not None else egress.hosts


def _checked(host: str) -> str:
    if "*" in host:
        raise OperatorError(f"upstream host {host!r}: an upstream is one host, not a pattern", hint="name the host")
    try:
        return check_pattern(host)
    except ValueError as error:
        raise OperatorError(f"upstream host {host!r}: {error}", hint="write host or host:port") from None
