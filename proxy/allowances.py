"""What people have allowed in one trajectory, so that nobody is asked twice about one call.

A call passes the proxy twice where the tool is behind it, too: when a model proposes it and when the agent makes it.
Allowed as a proposal, it may be made once; or, where the rule remembers, both as often as the agent likes. Allowed as
it is made, it is allowed at that place only; and one whose place says more than a proposal can needs its own decision.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from policies.verdict import AskPerson
from proxy.approvals import Decision

_PROPOSED = ""
_MOST = 1024
"""The oldest are forgotten beyond: somebody is asked again."""


@dataclass(slots=True)
class _Allowance:
    decision: Decision
    times: int = 0
    """How often it may still be made."""
    always: bool = False


@dataclass(slots=True, eq=False)
class Allowances:
    _known: OrderedDict[bytes, _Allowance] = field(default_factory=OrderedDict)

    def allow(self, tool: str, place: str, asks: AskPerson, decision: Decision, *, is_proposal: bool) -> None:
        """A person has allowed this call; `place` is where it is made, and empty of a proposal."""
        if not (asks.remembers or is_proposal):
            return
        key = _key(tool, place, asks)
        known = self._known.setdefault(key, _Allowance(decision))
        self._known.move_to_end(key)
        known.decision = decision
        known.always = known.always or asks.remembers
        known.times += is_proposal
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def covers(
        self, names: Iterable[str], place: str, asks: AskPerson, *, is_proposal: bool, says_more: bool = False
    ) -> Decision | None:
        """The decision by which a call that goes by these names passes; where it is for once, it is used up now."""
        if not self._known:
            return None
        places = (place,) if is_proposal or says_more else (place, _PROPOSED)
        for key in (_key(name, at, asks) for name in names for at in places):
            known = self._known.get(key)
            if known is None:
                continue
            if known.always and asks.remembers:
                return known.decision
            if not is_proposal and known.times:
                known.times -= 1
                return known.decision
        return None


def _key(tool: str, place: str, asks: AskPerson) -> bytes:
    """Of the arguments as they are, not as they are masked: only its digest is kept."""
    said = f"{tool}\0{place}\0{asks.arguments}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(said, digest_size=16).digest()
