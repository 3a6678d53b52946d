"""What each task says of a resource: fits, needs headroom, grows without bound, or fails for another reason."""

from __future__ import annotations

from typing import Literal

from scoring.noise.runs import UNCAPPED, Steps, SweepRun, step_name
from scoring.wording import count
from trajectory.runs import Frozen

MIN_REPEATS = 3
"""Fewer at a step say nothing: a peak differs from run to run."""

Fit = Literal["fits", "headroom-bound", "grows without bound", "model", "unknown"]


class Label(Frozen):
    """`fits_at` is the smallest multiplier at which no repeat hit the limit, and at none above it; None without one
    (and for no limit at all). `need` is the most that a run used that did not hit the limit.
    """

    task: str
    fit: Fit
    fits_at: float | None
    need: float | None
    evidence: str


def label_tasks(steps: Steps) -> tuple[Label, ...]:
    tasks = dict.fromkeys(task for runs in steps.values() for task in runs)
    return tuple(_label(task, {k: runs[task] for k, runs in steps.items() if task in runs}) for task in tasks)


def _label(task: str, steps: dict[float, list[SweepRun]]) -> Label:
    free = [run for runs in steps.values() for run in runs if not run.hit]
    need = max((run.peak for run in free if run.peak is not None), default=None)
    told = "; ".join(
        f"{step_name(k)}: {sum(r.hit for r in runs)} of {len(runs)} at the limit" for k, runs in steps.items()
    )

    def made(fit: Fit, fits_at: float | None, why: str) -> Label:
        return Label(task=task, fit=fit, fits_at=fits_at, need=need, evidence=f"{why} ({told})")

    short = [k for k, runs in steps.items() if len(runs) < MIN_REPEATS]
    if 1.0 not in steps or short:
        lacking = "no run at 1x" if 1.0 not in steps else f"fewer than {MIN_REPEATS} runs at {step_name(short[0])}"
        return made("unknown", None, lacking)
    fitting = _fitting(steps)
    if fitting is None:
        return made("grows without bound", None, f"hits the limit at {step_name(max(steps))} too")
    if free and not any(run.passed for run in free) and any(run.passed is False for run in free):
        return made("model", _finite(fitting), f"fails {count(len(free), 'run')} without being at the limit")
    if fitting == 1.0:
        return made("fits", 1.0, "never at the limit")
    return made("headroom-bound", _finite(fitting), f"fits from {step_name(fitting)} on")


def _fitting(steps: dict[float, list[SweepRun]]) -> float | None:
    """The smallest multiplier from which on no run is at the limit."""
    found = None
    for multiplier in sorted(steps, reverse=True):
        if any(run.hit for run in steps[multiplier]):
            break
        found = multiplier
    return found


def _finite(multiplier: float) -> float | None:
    return None if multiplier == UNCAPPED else multiplier
