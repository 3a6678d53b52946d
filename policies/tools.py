"""The tool allowlist: which tools a model may be offered and may call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from policies.ledger import Ledger
from policies.quoting import listed, shown
from policies.verdict import ALLOW, DropTools, Refuse, Verdict
from trajectory.events import CallProposed, Event, ModelAsked, ToolAsked

MAX_NAME = 256


def is_plain_name(name: str) -> bool:
    """Whether `name` may be a tool's name at all: 1 to 256 printable characters, no white space around them.

    Invisible and control characters are not printable, so that a name is what it looks like in a record.
    """
    return 0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()


def check_entry(entry: str) -> str:
    """`entry` if it may stand in an allowlist: a plain name, or one that ends in `*`. ValueError otherwise."""
    if not is_plain_name(entry):
        raise ValueError("a tool's name is 1 to 256 printable characters without white space around them")
    if "*" in entry[:-1]:
        raise ValueError("`*` may stand only at the end of a tool's name, where it matches any rest")
    return entry


class ToolAllowlist:
    """Allows the tools named in `allowed` and no others; none at all if it is empty.

    Names match exactly: case counts, nothing is trimmed or normalised, so a look-alike is another name. An entry
    that ends in `*` matches each plain name that begins with what stands before it. Tools that a request offers
    beyond the list are taken out of it ("filter") or refuse it ("refuse"); a forced tool beyond it is refused.
    An HTTP call to a host that the configuration does not name is no named tool: the egress rule decides that.
    """

    name: ClassVar[str] = "tool_allowlist"
    events: ClassVar[frozenset[type[Event]]] = frozenset({ModelAsked, CallProposed, ToolAsked})

    def __init__(self, allowed: Iterable[str], offered: Literal["filter", "refuse"] = "filter") -> None:
        entries = tuple(dict.fromkeys(check_entry(entry) for entry in allowed))
        self._entries = entries
        self._exact = frozenset(entry for entry in entries if not entry.endswith("*"))
        self._prefixes = tuple(entry[:-1] for entry in entries if entry.endswith("*"))
        self._filters = offered == "filter"

    def allows(self, name: str) -> bool:
        if name in self._exact:
            return True
        return bool(self._prefixes) and name.startswith(self._prefixes) and is_plain_name(name)

    def _knows(self, name: str, aliases: tuple[str, ...]) -> bool:
        return self.allows(name) or any(map(self.allows, aliases))

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, CallProposed):
            return ALLOW if self._knows(event.name, event.aliases) else self._refusal("was called", event.name)
        if isinstance(event, ToolAsked):
            if event.upstream is None or self._knows(event.tool, event.aliases):
                return ALLOW
            return self._refusal("was called", event.tool)
        if isinstance(event, ModelAsked):
            return self._judge_offer(event)
        return ALLOW

    def _judge_offer(self, event: ModelAsked) -> Verdict:
        if event.forced_tool is not None and not self.allows(event.forced_tool):
            return self._refusal("must be called by this request", event.forced_tool)
        not_allowed = [name for name in event.tools if not self.allows(name)]
        if not not_allowed:
            return ALLOW
        beyond = tuple(dict.fromkeys(not_allowed))
        if not self._filters:
            return self._refusal("is offered by this request", *beyond)
        return DropTools(
            rule=self.name,
            names=frozenset(beyond),
            message=f"Tools that are not on the allowlist were not offered: {listed(beyond)}.",
        )

    def _refusal(self, what: str, *names: str) -> Refuse:
        return Refuse(
            code="tool_not_allowed",
            rule=self.name,
            message=(
                f'The tool "{listed(names)}" {what}, and it is not on the allowlist (constraints.allowed_tools). '
                f"Allowed tools: {listed(self._entries)}."
            ),
            subject=shown(names[0]),
        )
