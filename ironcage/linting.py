"""What the configuration says and cannot mean: rules that never fire, entries that match nothing, policies left off."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ironcage.settings import Loaded
from policies.hosts import HostPattern, parse_host
from policies.tools import ToolAllowlist
from proxy.settings import Upstream


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` is the key; `hint` what to do. `code` is stable."""

    code: str
    where: str
    message: str
    hint: str


def lint(loaded: Loaded, recorded_tools: Collection[str] | None = None) -> list[Finding]:
    """`recorded_tools`: names of all tools that the record knows; None where nobody looked."""
    found = [finding for rule in _LINTS for finding in rule(loaded)]
    if recorded_tools is not None:
        found += _unknown_tools(loaded, recorded_tools)
    return found


def _nothing_limited(loaded: Loaded) -> Iterator[Finding]:
    if not loaded.constraints.constraints.model_dump(exclude_none=True):
        yield Finding(
            "nothing_limited", "constraints", "no limit is set: everything but unknown hosts passes",
            "set max_retries, allowed_tools or network_egress_limit_mb; `ironcage profile` suggests values",
        )  # fmt: skip


def _redaction(loaded: Loaded) -> Iterator[Finding]:
    policies = loaded.settings.policies
    redaction = policies.redaction
    if redaction is None:
        if "redaction" not in policies.model_fields_set:
            yield Finding(
                "redaction_off", "policies.redaction", "personal data goes to models and into the record as it is",
                "write `redaction: {}` to mask it, or `redaction: null` to say that this is meant",
            )  # fmt: skip
        return
    if not redaction.types and not redaction.known_values and redaction.known_values_file is None:
        yield Finding(
            "redaction_finds_nothing", "policies.redaction.types", "redaction is on and looks for nothing",
            "name kinds under types, or declare known values",
        )  # fmt: skip
    looked_for = {*redaction.types, *redaction.known_values}
    for kind in redaction.refuse if redaction.known_values_file is None else ():
        if kind not in looked_for:
            yield Finding(
                "kind_never_refused", "policies.redaction.refuse", f"`{kind}` is refused, and nothing looks for it",
                "add it to types, or declare values of that kind",
            )  # fmt: skip


def _budgets(loaded: Loaded) -> Iterator[Finding]:
    limits, policies = loaded.constraints.constraints, loaded.settings.policies
    for settings, name, key in (
        (policies.retries, "retries", "max_retries"),
        (policies.spend, "spend", "spend_limit_usd"),
        (policies.context, "context", "context_limit_tokens"),
    ):
        changed = settings.model_dump(exclude_defaults=True)  # a default, spelled out: nobody expects anything of it
        if changed and getattr(limits, key) is None:
            yield Finding(
                "never_exhausted", f"policies.{name}.{next(iter(changed))}",
                f"it says how the {name} limit is applied, and there is none",
                f"set constraints.{key}, or remove the key",
            )  # fmt: skip


def _no_money(loaded: Loaded) -> Iterator[Finding]:
    limits = loaded.constraints.constraints
    prices = loaded.settings.policies.spend.prices.values()
    if limits.spend_limit_usd == 0 and not any(price.input == price.output == 0 for price in prices):
        yield Finding(
            "no_dollar_allowed", "constraints.spend_limit_usd", "0 allows no model that costs anything, and all have a "
            "price", "set what a run may cost, or state models that are free in policies.spend.prices",
        )  # fmt: skip


def _tools(loaded: Loaded) -> Iterator[Finding]:
    allowed = loaded.constraints.constraints.allowed_tools
    if allowed is None:
        if "offered" in loaded.settings.policies.tools.model_fields_set:
            yield Finding(
                "never_offered_beyond", "policies.tools.offered",
                "it says what happens to tools beyond the allowlist, and there is no allowlist",
                "set constraints.allowed_tools, or remove the key",
            )  # fmt: skip
        return
    where = "constraints.allowed_tools"
    if not allowed:
        yield Finding("no_tool_allowed", where, "the list is empty: every tool is refused", "name some, or remove it")
    if "*" in allowed:
        yield Finding(
            "all_tools_allowed",
            where,
            "`*` allows every tool, so the list refuses none",
            "name the tools, or remove it",
        )
    for entry in allowed:
        wider = [w for w in allowed if w != entry and w.endswith("*") and entry.startswith(w[:-1])]
        if wider and entry != "*":
            yield Finding(
                "tool_covered", where, f"`{entry}` says nothing new: `{wider[0]}` allows it too", "remove one of them"
            )
    allowlist = ToolAllowlist(allowed)
    yield from _tools_never_reached(loaded, allowlist)
    for tool in loaded.settings.policies.tools.arguments:
        if not allowlist.allows(tool) and not (tool.endswith("*") and any(e.startswith(tool[:-1]) for e in allowed)):
            yield Finding(
                "arguments_never_judged", f"policies.tools.arguments.{tool}",
                f"it says what `{tool}` may be called with, and constraints.allowed_tools refuses each call of it",
                "add the tool to the list, or remove its arguments here",
            )  # fmt: skip


def _tools_never_reached(loaded: Loaded, allowlist: ToolAllowlist) -> Iterator[Finding]:
    for name, upstream in loaded.settings.upstreams.items():
        for tool in dict.fromkeys(upstream.tools.values()) if upstream.kind == "tool" else ():
            if not allowlist.allows(tool):
                yield Finding(
                    "tool_never_allowed", f"upstreams.{name}.tools",
                    f"the tool `{tool}` is configured, and constraints.allowed_tools refuses each call of it",
                    "add it to the list, or remove it here",
                )  # fmt: skip


def _arguments(loaded: Loaded) -> Iterator[Finding]:
    tools = loaded.settings.policies.tools
    if tools.arguments and loaded.constraints.constraints.allowed_tools is None:
        yield Finding(
            "arguments_without_allowlist", "policies.tools.arguments",
            "only these names are judged by their arguments, and a tool of any other name may be called with anything",
            "set constraints.allowed_tools",
        )  # fmt: skip


def _hosts(loaded: Loaded) -> Iterator[Finding]:
    limits, egress = loaded.constraints.constraints, loaded.settings.policies.egress
    where = "constraints.egress_hosts" if limits.egress_hosts is not None else "policies.egress.hosts"
    hosts = limits.egress_hosts if limits.egress_hosts is not None else egress.hosts
    if not hosts:
        return
    if loaded.settings.forward_listen is None:
        yield Finding(
            "hosts_never_reached", where,
            "hosts beside the upstreams are reached only through the HTTPS_PROXY door, which `serve` leaves closed "
            "(bake-offs open their own)",
            "set forward_listen, or remove the hosts",
        )  # fmt: skip
    if "*" in hosts:
        yield Finding("all_hosts_allowed", where, "`*` allows every host, so no host is refused", "name the hosts")
    upstreams = loaded.settings.upstreams
    for host in hosts:
        pattern = HostPattern.parse(host)
        same = [name for name, upstream in upstreams.items() if _is_same(pattern, upstream)]
        if same:
            more = "" if pattern.ports else "; without a port it opens all other ports of that host besides"
            message = f"`{host}` is the host of upstream {same[0]}, which is allowed as it is{more}"
            yield Finding("host_covered", where, message, "remove it here, or name the port that is meant")
        wider = [other for other in hosts if other != host and _covers(HostPattern.parse(other), pattern)]
        if wider and not same:
            yield Finding(
                "host_covered", where, f"`{host}` says nothing new: `{wider[0]}` allows it", "remove one of them"
            )


def _bytes(loaded: Loaded) -> Iterator[Finding]:
    limit = loaded.constraints.constraints.network_egress_limit_mb
    if limit is None and "count" in loaded.settings.policies.egress.model_fields_set:
        yield Finding(
            "never_counted", "policies.egress.count",
            "it says which bytes count against the egress limit, and there is no egress limit",
            "set constraints.network_egress_limit_mb, or remove the key",
        )  # fmt: skip
    if limit == 0:
        yield Finding(
            "no_byte_allowed", "constraints.network_egress_limit_mb", "0 allows no byte: every exchange is refused",
            "set what a run may move, or remove it",
        )  # fmt: skip


def _unknown_tools(loaded: Loaded, recorded: Collection[str]) -> Iterator[Finding]:
    configured = {tool for upstream in loaded.settings.upstreams.values() for tool in upstream.tools.values()}
    known = {*recorded, *configured}
    for entry in loaded.constraints.constraints.allowed_tools or ():
        if not any(ToolAllowlist([entry]).allows(name) for name in known):
            yield Finding(
                "tool_never_seen", "constraints.allowed_tools",
                f"`{entry}` matches no tool that was ever offered, called or configured",
                "check the spelling (case counts), or remove it",
            )  # fmt: skip


def _is_same(pattern: HostPattern, upstream: Upstream) -> bool:
    """The upstream's own host, with no port, or with none but the upstream's."""
    own = parse_host(upstream.host)
    ports = (own.port,) if own.port is not None else (80, 443)
    return not pattern.below and pattern.name == own.name and set(pattern.ports) <= set(ports)


def _covers(wider: HostPattern, narrow: HostPattern) -> bool:
    if wider.ports and not (narrow.ports and set(narrow.ports) <= set(wider.ports)):
        return False
    if not wider.below:
        return not narrow.below and wider.name == narrow.name
    return not wider.name or narrow.name.endswith("." + wider.name) or (narrow.below and narrow.name == wider.name)


_LINTS: tuple[Callable[[Loaded], Iterator[Finding]], ...] = (
    _nothing_limited,
    _redaction,
    _budgets,
    _no_money,
    _tools,
    _arguments,
    _hosts,
    _bytes,
)
