"""What each tool result of a run stands on, and how large a share of them a reader trusts.

The footing of a result is its fidelity; but a result that may rest on a state which writes have changed since is stale,
however it was found. Four levels of trust, each accepting more than the one before it:

    recorded    exact, canonical: what the tool answered to this call in the recording of this task
    pooled      also what it answered to this call in another recording
    simulated   also what a simulator answered
    faithful    also what a real tool answered now: all but stale, written and missing. `--min-fidelity` counts these
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from trajectory.runs import Served

Footing = Literal["exact", "canonical", "pooled", "simulated", "live", "stale", "written", "missing"]
Trust = Literal["recorded", "pooled", "simulated", "faithful"]

FOOTINGS: tuple[Footing, ...] = get_args(Footing)
ACCEPTED: Mapping[Trust, tuple[Footing, ...]] = {
    "recorded": ("exact", "canonical"),
    "pooled": ("exact", "canonical", "pooled"),
    "simulated": ("exact", "canonical", "pooled", "simulated"),
    "faithful": ("exact", "canonical", "pooled", "simulated", "live"),
}


def footings(served: Sequence[Served]) -> dict[Footing, int]:
    """How many results stand on what, in the order of FOOTINGS; those that none does are left out."""
    found = Counter(map(_footing, served))
    return {footing: found[footing] for footing in FOOTINGS if footing in found}


def trusted_share(counts: Mapping[Footing, int], trust: Trust) -> float | None:
    """Between 0 and 1; None where there was no tool result."""
    served = sum(counts.values())
    return sum(counts.get(footing, 0) for footing in ACCEPTED[trust]) / served if served else None


def reaches(share: float | None, at_least: float) -> bool:
    """A run without any tool result from a replay rests on none: it counts at every threshold."""
    return share is None or share >= at_least


def levels(counts: Sequence[Mapping[Footing, int]]) -> tuple[Trust, ...]:
    """Those that differ from the one before for some run, and recorded; none where there was no tool result at all."""
    met = {footing for count in counts for footing in count}
    if not met:
        return ()
    added: dict[Trust, Footing] = {"pooled": "pooled", "simulated": "simulated", "faithful": "live"}
    return ("recorded", *(trust for trust, footing in added.items() if footing in met))


def _footing(served: Served) -> Footing:
    return "stale" if served.may_be_stale and served.fidelity in ACCEPTED["faithful"] else served.fidelity
