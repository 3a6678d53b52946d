"""Policy in sentences, and what it says of one tool or host: the rules themselves are asked."""

from __future__ import annotations

from dataclasses import dataclass

from ironcage.settings import Loaded
from policies.arguments.argument import described
from policies.building import build_rules
from policies.constraints import Constraints
from policies.engine import Engine
from policies.hosts import parse_host
from policies.memory_ledger import MemoryLedger
from policies.quoting import listed, shown
from policies.settings import PolicySettings
from policies.verdict import AskPerson, AwaitArguments, Refuse
from trajectory.errors import OperatorError
from trajectory.events import CallProposed, ToolAsked

_ENDINGS = {
    "refuse": "refused in the route's own error format",
    "final_message": "answered with a message that says that policy ended the run",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """`rule` is the name that verdicts carry; `keys` are the settings that it comes from."""

    rule: str
    text: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What policy says of one tool or host. `code` is empty where it is allowed."""

    kind: str
    subject: str
    allowed: bool
    rule: str
    code: str
    text: str


def explain(loaded: Loaded) -> list[Sentence]:
    constraints, policies = loaded.constraints, loaded.settings.policies
    return [
        _tools(constraints, policies),
        *_arguments(policies),
        *_approvals(policies),
        _hosts(loaded),
        _bytes(constraints, policies),
        _retries(constraints, policies),
        _spend(constraints, policies),
        _context(constraints, policies),
        _redaction(policies),
        _cage(constraints),
    ]


def explain_tool(loaded: Loaded, tool: str, arguments: str | None = None) -> Answer:
    """Of a call of `tool` that a model proposes, or that an agent makes of a configured tool server.

    `arguments` is JSON; without it the answer is of the name, and says if arguments are judged, too.
    """
    verdict = _engine(loaded).judge(CallProposed("explain", tool, arguments=arguments))
    if isinstance(verdict, Refuse):
        return Answer("tool", tool, False, verdict.rule, verdict.code, verdict.message)
    allowed = loaded.constraints.constraints.allowed_tools
    if allowed is None:
        why = "Every tool may be called: there is no constraints.allowed_tools."
    else:
        entry = next(e for e in allowed if e == tool or (e.endswith("*") and tool.startswith(e[:-1])))
        why = f'The tool "{shown(tool)}" may be called: constraints.allowed_tools has "{shown(entry)}".'
    if isinstance(verdict, AskPerson):
        why += f" This call waits for a person, though (policies.approvals). {verdict.why}"
    if isinstance(verdict, AwaitArguments):
        by = " and policies.approvals" if loaded.settings.policies.approvals is not None else ""
        why += f" Its arguments are judged as well (policies.tools.arguments{by})."
    return Answer("tool", tool, True, "tool_allowlist", "", why)


def explain_host(loaded: Loaded, host: str) -> Answer:
    """Of a request to `host`, with or without port, by an agent that goes through the HTTPS_PROXY door."""
    try:
        parse_host(host)
    except ValueError as e:
        raise OperatorError(f"--host {shown(host)}: {e}", hint="write host or host:port, without https://") from None
    asked = ToolAsked("explain", None, host, "", "", 0)
    verdict = _engine(loaded, bytes_too=False).judge(asked)
    if isinstance(verdict, Refuse):
        return Answer("host", host, False, verdict.rule, verdict.code, verdict.message)
    own = [n for n, u in loaded.settings.upstreams.items() if parse_host(u.host).name == parse_host(host).name]
    by = f"it is the host of upstream {own[0]}" if own else "egress hosts name it"
    return Answer("host", host, True, "egress_limit", "", f'The host "{shown(host)}" may be reached: {by}.')


def _engine(loaded: Loaded, *, bytes_too: bool = True) -> Engine:
    constraints = loaded.constraints
    if not bytes_too:  # the question is about the host alone
        limits = constraints.constraints.model_copy(update={"network_egress_limit_mb": None})
        constraints = constraints.model_copy(update={"constraints": limits})
    hosts = [upstream.host for upstream in loaded.settings.upstreams.values()]
    return Engine(build_rules(constraints, loaded.settings.policies, hosts), MemoryLedger())


def _tools(constraints: Constraints, policies: PolicySettings) -> Sentence:
    keys = ("constraints.allowed_tools", "policies.tools.offered")
    allowed = constraints.constraints.allowed_tools
    if allowed is None:
        return Sentence("tool_allowlist", "Any tool may be offered and called.", keys[:1])
    others = {
        "filter": "Others are taken out of what a model is offered",
        "refuse": "A request that offers others is refused",
    }[policies.tools.offered]
    return Sentence(
        "tool_allowlist",
        f"Only these tools may be offered and called: {listed(allowed)}. {others}; "
        "a call of another one in a reply becomes a text that the model can read.",
        keys,
    )


def _arguments(policies: PolicySettings) -> list[Sentence]:
    """One sentence for each tool; none where arguments are not judged."""
    return [
        Sentence(
            "tool_arguments",
            f'Calls of "{shown(tool)}" are refused unless '
            + " and ".join(f"{shown(argument)} is {described(asked)}" for argument, asked in arguments.items())
            + "; so are arguments that could be read in two ways.",
            (f"policies.tools.arguments.{tool}",),
        )
        for tool, arguments in policies.tools.arguments.items()
    ]


def _approvals(policies: PolicySettings) -> list[Sentence]:
    """One sentence for each tool whose calls may wait for a person."""
    approvals = policies.approvals
    if approvals is None:
        return []
    remembered = {
        "call": "each is asked about by itself",
        "trajectory": "the same call is asked about once in a trajectory",
    }[approvals.remember]
    return [
        Sentence(
            "approvals",
            f'Calls of "{shown(tool)}" wait up to {approvals.timeout_s:g} s for a person to allow them'
            + (", unless " if approved.unless else "")
            + " and ".join(f"{shown(argument)} is {described(asked)}" for argument, asked in approved.unless.items())
            + f"; {remembered}.",
            (f"policies.approvals.tools.{tool}",),
        )
        for tool, approved in approvals.tools.items()
    ]


def _hosts(loaded: Loaded) -> Sentence:
    limits, egress = loaded.constraints.constraints, loaded.settings.policies.egress
    more = limits.egress_hosts if limits.egress_hosts is not None else egress.hosts
    own = [upstream.host for upstream in loaded.settings.upstreams.values()]
    text = f"Hosts that may be reached: {listed(dict.fromkeys([*own, *(more or ())]))}."
    if loaded.settings.forward_listen is None:
        text += " The HTTPS_PROXY door is closed, so `serve` takes nobody to any but the upstreams."
    return Sentence("egress_limit", text, ("upstreams", "constraints.egress_hosts", "policies.egress.hosts"))


def _bytes(constraints: Constraints, policies: PolicySettings) -> Sentence:
    keys = ("constraints.network_egress_limit_mb", "policies.egress.count")
    limit = constraints.constraints.network_egress_limit_mb
    if limit is None:
        return Sentence("egress_limit", "Bytes are not limited.", keys[:1])
    counted = "sent and received" if policies.egress.count == "both" else "sent"
    text = f"One trajectory may move {limit:g} MB ({counted}); a reply that passes that is cut."
    return Sentence("egress_limit", text, keys)


def _retries(constraints: Constraints, policies: PolicySettings) -> Sentence:
    keys = ("constraints.max_retries", "policies.retries.on_exhausted")
    most = constraints.constraints.max_retries
    if most is None:
        return Sentence("retry_budget", "Retries are not limited.", keys[:1])
    ending = _ENDINGS[policies.retries.on_exhausted]
    text = f"One trajectory may send again what failed {most} times, over all its calls; the next retry is {ending}."
    return Sentence("retry_budget", text, keys)


def _spend(constraints: Constraints, policies: PolicySettings) -> Sentence:
    keys = ("constraints.spend_limit_usd", "policies.spend")
    limit, spend = constraints.constraints.spend_limit_usd, policies.spend
    if limit is None:
        return Sentence("spend_budget", "Spending is not limited.", keys[:1])
    unpriced = {"refuse": "is refused", "allow": "passes and is not counted"}[spend.unpriced]
    text = (
        f"The model calls of one {spend.per} may cost {limit:g} US dollars together; one that may cost more than is "
        f"left is {_ENDINGS[spend.on_exhausted]}. A model without a price {unpriced}."
    )
    return Sentence("spend_budget", text, keys)


def _context(constraints: Constraints, policies: PolicySettings) -> Sentence:
    keys = ("constraints.context_limit_tokens", "policies.context.on_exhausted")
    limit = constraints.constraints.context_limit_tokens
    if limit is None:
        return Sentence("context_limit", "The size of prompts is not limited.", keys[:1])
    ending = _ENDINGS[policies.context.on_exhausted]
    return Sentence("context_limit", f"A prompt may have {limit} tokens, by estimate; a larger one is {ending}.", keys)


def _redaction(policies: PolicySettings) -> Sentence:
    redaction = policies.redaction
    if redaction is None:
        return Sentence(
            "redaction", "Personal data is neither masked for models nor in the record.", ("policies.redaction",)
        )
    declared = redaction.known_values or redaction.known_values_file is not None
    kinds = listed([*redaction.types, *(["declared values"] if declared else [])])
    back = f"put back in replies, except {listed(redaction.never_restore)}" if redaction.restore else "not put back"
    text = f"Masked by pseudonyms, for models and in the record: {kinds}. The values are {back}."
    if redaction.refuse:
        text += f" A request that holds one of these is refused: {listed(redaction.refuse)}."
    return Sentence("redaction", text, ("policies.redaction",))


def _cage(constraints: Constraints) -> Sentence:
    limits = constraints.constraints
    asked = [
        text
        for value, text in (
            (limits.memory_limit_mb, f"{limits.memory_limit_mb:g} MB of memory" if limits.memory_limit_mb else ""),
            (limits.cpu_timeout_ms, f"{limits.cpu_timeout_ms} ms of CPU time"),
            (limits.wall_timeout_s, f"{limits.wall_timeout_s:g} s" if limits.wall_timeout_s else ""),
        )
        if value is not None
    ]
    text = f"In a replay's cage an agent has {', '.join(asked)}." if asked else "A replay's cage limits no resource."
    keys = ("constraints.memory_limit_mb", "constraints.cpu_timeout_ms", "constraints.wall_timeout_s")
    return Sentence("cage", text, keys)
