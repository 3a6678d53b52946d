"""Runs of one model under several amounts of one resource: what a sweep hands over."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from trajectory.runs import Frozen

Resource = Literal["memory", "cpu_time", "wall_time"]
UNITS: dict[Resource, str] = {"memory": "MB", "cpu_time": "CPU s", "wall_time": "s"}
UNCAPPED = math.inf
"""As multiplier: no limit on this resource."""
LADDER = (1.0, 1.5, 3.0, 5.0, UNCAPPED)


class SweepRun(Frozen):
    """One run of `task` with `multiplier` times the base of the resource.

    `hit` says that it ended at this resource's limit, `peak` what it used of the resource at most, None where nobody
    measured. `passed` is None where no check decided, or where something else than the agent or this limit broke the
    run (`is_broken`): such a run says nothing.
    """

    task: str
    multiplier: float
    repeat: int
    passed: bool | None
    hit: bool
    peak: float | None = None
    is_broken: bool = False


Steps = dict[float, dict[str, list[SweepRun]]]
"""Multiplier, in ascending order, to the runs of each task that say something."""


def by_step(runs: Sequence[SweepRun]) -> Steps:
    steps: defaultdict[float, defaultdict[str, list[SweepRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if not run.is_broken:
            steps[run.multiplier][run.task].append(run)
    return {multiplier: dict(steps[multiplier]) for multiplier in sorted(steps)}


def step_name(multiplier: float) -> str:
    return "uncapped" if multiplier == UNCAPPED else f"{multiplier:g}x"
