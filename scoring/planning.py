"""What a bake-off would see, for each number of trials: the design question before any run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from scoring.scorecard import RunRow
from scoring.statistics import detectable_difference, icc1, spread_of_rates, tasks_needed
from trajectory.runs import Frozen


class Resemblance(Frozen):
    """Success rate, and the ICC of trials of one task."""

    rate: float
    icc: float


class Design(Frozen):
    """`detectable` is the smallest difference of two success rates that is found with a power of 80 % at 5 %, as if the
    candidates found quite different tasks hard; `detectable_if_alike` if they found the same ones hard.
    """

    tasks: int
    trials: int
    detectable: float
    detectable_if_alike: float
    tasks_needed: int | None


def designs(assumed: Resemblance, tasks: int, trials: int, difference: float | None = None) -> tuple[Design, ...]:
    """One design for each number of trials up to `trials`; `tasks_needed` is for `difference`."""
    apart, alike = (spread_of_rates(assumed.rate, assumed.icc, likeness) for likeness in (0.0, 1.0))
    return tuple(
        Design(
            tasks=tasks,
            trials=each,
            detectable=detectable_difference(apart, tasks, each) or 0.0,
            detectable_if_alike=detectable_difference(alike, tasks, each) or 0.0,
            tasks_needed=None if difference is None else tasks_needed(apart, difference, each),
        )
        for each in range(1, trials + 1)
    )


def resemblance_of(rows: Sequence[RunRow]) -> Resemblance | None:
    """Of the scored runs: the mean over candidates whose tasks were tried several times; None without one."""
    by_candidate: defaultdict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        if row.counting == "scored":
            by_candidate[row.candidate].append(row)
    known = []
    for own in by_candidate.values():
        values = [float(row.passed) for row in own]
        icc = icc1(values, [row.task for row in own])
        if icc is not None:
            known.append((sum(values) / len(values), min(1.0, max(0.0, icc))))
    if not known:
        return None
    return Resemblance(rate=sum(r for r, _ in known) / len(known), icc=sum(i for _, i in known) / len(known))
