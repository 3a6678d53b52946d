"""A sweep from its runs: what the engine carried out, read by the statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ironcage.scorecards import find_bakeoff, scored
from replay.plan import Plan
from replay.schedule import told_order
from replay.sweep import Baked, Rung, SweptResource
from scoring.noise.runs import SweepRun
from scoring.noise.sweep import read_sweep
from scoring.report.sweep import CandidateSweep, SweepReport
from scoring.scorecard import RunRow
from trajectory.runs import Certificate, Limits
from trajectory.store import Store

Climbed = Sequence[Baked]


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one candidate, resource by resource. `carried` counts results of a lower step that stand for a higher one."""

    sweeps: tuple[CandidateSweep, ...]
    carried: int


def read_sweeps(store: Store, plan: Plan, climbed: Climbed, *, margin: float, together: bool) -> SweepReport:
    """`together` where all steps ran in one schedule."""
    by_candidate: dict[str, list[Baked]] = {}
    for rung, runs in climbed:
        by_candidate.setdefault(rung.candidate.name, []).append((rung, runs))
    readings = [read_climb(store, plan.limits, own, margin=margin) for own in by_candidate.values()]
    left_out = [f"Left out: {why}." for why in plan.left_out.values()]
    return joined(plan.id, readings, (_told_order(plan.seed, together=together), *left_out))


def read_climb(store: Store, limits: Limits, climbed: Climbed, *, margin: float) -> Reading:
    """`limits` are those at 1x; `climbed` is of one candidate."""
    rows: dict[tuple[SweptResource, float], list[RunRow]] = {}
    for rung, runs in climbed:
        ids = {run.id for run in runs}
        card = scored(store, find_bakeoff(store, rung.plan.id))
        rows[rung.resource, _multiple(rung)] = [row for row in card.runs if row.run in ids]
    name = climbed[0][0].candidate.name
    sweeps: list[CandidateSweep] = []
    carried = 0
    for resource in dict.fromkeys(resource for resource, _ in rows):
        steps = {multiple: found for (swept, multiple), found in rows.items() if swept == resource}
        whole, borrowed = _carried(steps)
        carried += borrowed
        swept_runs = [_swept(row, multiple, resource) for multiple, found in whole.items() for row in found]
        sweeps.append(
            CandidateSweep(
                candidate=name, sweep=read_sweep(swept_runs, resource, _base(limits, resource), margin=margin)
            )
        )
    return Reading(tuple(sweeps), carried)


def joined(name: str, readings: Sequence[Reading], notes: Sequence[str] = ()) -> SweepReport:
    sweeps = tuple(sweep for reading in readings for sweep in reading.sweeps)
    carried = _told(sum(reading.carried for reading in readings))
    return SweepReport(id=name, sweeps=sweeps, carried=carried, notes=tuple(notes))


def _told_order(seed: int, *, together: bool) -> str:
    if together:
        return f"Runs were begun {told_order(seed, 'every candidate, resource and step')}."
    order = told_order(seed, "every candidate and resource that came so far")
    return (
        f"Steps were run one after the other, the runs of each {order}. What drifted from step to step is not told "
        "apart from what the limit did: --all runs all steps together."
    )


def _carried(steps: dict[float, list[RunRow]]) -> tuple[dict[float, list[RunRow]], int]:
    """Every step with all tasks, and how many runs of a lower step stand in for ones that were not made."""
    whole: dict[float, list[RunRow]] = {}
    latest: dict[str, list[RunRow]] = {}
    borrowed = 0
    for multiple in sorted(steps):
        made: dict[str, list[RunRow]] = {}
        for row in steps[multiple]:
            made.setdefault(row.task, []).append(row)
        borrowed += sum(len(found) for task, found in latest.items() if task not in made)
        latest |= made
        whole[multiple] = [row for found in latest.values() for row in found]
    return whole, borrowed


def _told(carried: int) -> str:
    if not carried:
        return ""
    return (
        f"{carried} results at higher steps are those of a lower step: a task of which no run hit the limit was not "
        "run again with more. --all runs every task at every step."
    )


def _swept(row: RunRow, multiple: float, resource: SweptResource) -> SweepRun:
    hit = row.certificate.kill_cause == resource
    return SweepRun(
        task=row.task,
        multiplier=multiple,
        repeat=row.trial,
        passed=None if row.outcome.label == "unknown" else row.passed,
        hit=hit,
        peak=_used(row.certificate, resource),
        is_broken=row.counting == "excluded" and not hit,
    )


def _used(certificate: Certificate, resource: SweptResource) -> float | None:
    used = {"memory": certificate.peak_memory_mb, "cpu_time": certificate.cpu_s, "wall_time": certificate.wall_s}
    return used[resource]


def _base(limits: Limits, resource: SweptResource) -> float:
    base = {"memory": limits.memory_mb, "cpu_time": limits.cpu_s, "wall_time": limits.wall_s}[resource]
    return math.nan if base is None else base


def _multiple(rung: Rung) -> float:
    return math.inf if rung.multiple is None else rung.multiple
