"""Which tools read, which write, and which do neither: declared by the user, else told from the name.

Default: the first word of the name that is a verb of one of the lists decides (`get_order`, `orders.list`,
`GET /orders`, `searchFlights`); a name without one counts as a write. That errs on the side of saying that the state
may have moved. Nothing is taken for pure by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from trajectory.runs import ToolKind


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_READS = _words(
    "check count describe download fetch find get glob grep head inspect list load look lookup options peek poll "
    "preview query read retrieve search show stat status tail track view watch"
)
_WRITES = _words(
    "add apply approve assign attach book buy cancel change charge clear close commit copy create delete deploy edit "
    "enable disable exchange execute insert install kill lock merge modify move open order patch pay post publish push "
    "put refund register remove rename reply replace reset restart return run save schedule send set ship start stop "
    "submit transfer toggle unlock update upload upsert write"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def kind_by_name(tool: str) -> ToolKind:
    for word in _WORD.findall(tool):
        if word.lower() in _WRITES:
            return "write"
        if word.lower() in _READS:
            return "read"
    return "write"


@dataclass(frozen=True, slots=True)
class ToolKinds:
    """`declared` by tool name goes before the default."""

    declared: Mapping[str, ToolKind] = field(default_factory=dict)

    def of(self, tool: str) -> ToolKind:
        return self.declared.get(tool) or kind_by_name(tool)
