"""From which amount of a resource on success no longer changes: shown by equivalence, not by the want of a difference.

Each step is tested against the largest one, from the top down, and the first that is not shown to be equivalent ends
it. In this order no correction is needed (a fixed sequence of tests: Maurer, Hothorn and Lehmacher 1995).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scoring.estimates import Estimate, rate
from scoring.noise.floor import noise_floor
from scoring.noise.runs import Steps, SweepRun
from scoring.statistics import Equivalence, equivalent_means, equivalent_pairs
from trajectory.runs import Frozen

MARGIN = 0.05
"""Points of success rate that do not matter between two amounts of a resource."""


class Step(Frozen):
    """One amount of the resource; `multiplier` is None for no limit. `difference` is to the largest amount on common
    tasks, `p_equivalent` of their equivalence, both None at the top and where nothing can be said; `noise_floor` is of
    that same difference.
    """

    multiplier: float | None
    runs: int
    success: Estimate
    at_limit: Estimate
    common_tasks: int
    difference: float | None
    p_equivalent: float | None
    noise_floor: float | None


def describe(steps: Steps, margin: float) -> tuple[Step, ...]:
    """One step for each multiplier, ascending."""
    top = steps[max(steps)] if steps else {}
    return tuple(_step(multiplier, runs, top, margin) for multiplier, runs in steps.items())


def plateau(found: Sequence[Step]) -> Step | None:
    """The smallest step that is shown to be equivalent to the top, as all between; None where not even the next is."""
    reached = None
    for step in reversed(found[:-1]):
        if step.p_equivalent is None or step.p_equivalent >= 0.05:
            break
        reached = step
    return reached


def _step(
    multiplier: float, runs: Mapping[str, Sequence[SweepRun]], top: Mapping[str, Sequence[SweepRun]], margin: float
) -> Step:
    every = [run for found in runs.values() for run in found]
    decided = [run for run in every if _outcome(run) is not None]
    here, there = _outcomes(runs), _outcomes(top)
    tasks = [task for task in here if task in there]
    tested = _tested({t: here[t] for t in tasks}, {t: there[t] for t in tasks}, margin) if runs is not top else None
    return Step(
        multiplier=None if multiplier == float("inf") else multiplier,
        runs=len(every),
        success=rate([bool(_outcome(run)) for run in decided], [run.task for run in decided]),
        at_limit=rate([run.hit for run in every], [run.task for run in every]),
        common_tasks=len(tasks),
        difference=tested.difference if tested else None,
        p_equivalent=tested.p_value if tested else None,
        noise_floor=noise_floor({t: here[t] for t in tasks}, {t: there[t] for t in tasks}),
    )


def _tested(
    here: Mapping[str, Sequence[float]], top: Mapping[str, Sequence[float]], margin: float
) -> Equivalence | None:
    deltas = [_mean(here[task]) - _mean(top[task]) for task in here]
    is_single = all(len(here[task]) == len(top[task]) == 1 for task in here)
    if is_single or deltas in ([way] * len(deltas) for way in (-1.0, 0.0, 1.0)):
        # tasks that are alike in every repeat have no spread for t; as single pairs they still count for something
        more, less = sum(d > 0 for d in deltas), sum(d < 0 for d in deltas)
        return equivalent_pairs(more, less, len(deltas), margin)
    return equivalent_means(deltas, margin)


def _outcomes(runs: Mapping[str, Sequence[SweepRun]]) -> dict[str, list[float]]:
    known = {task: [float(o) for run in found if (o := _outcome(run)) is not None] for task, found in runs.items()}
    return {task: outcomes for task, outcomes in known.items() if outcomes}


def _outcome(run: SweepRun) -> bool | None:
    """A run that ended at the limit and that no check decided did not pass."""
    return False if run.passed is None and run.hit else run.passed


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
