"""A sweep read: what each task needs, where success stops to change, and which two values to set.

Two numbers, not one, follow Anthropic's study of infrastructure noise (2026-02-05): what a run is guaranteed, and where
it is killed. Between them a run that needs a little more is not called wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from scoring.noise.labels import Label, label_tasks
from scoring.noise.plateau import MARGIN, Step, describe, plateau
from scoring.noise.runs import UNITS, Resource, SweepRun, by_step, step_name
from scoring.wording import count, p_text, percent
from trajectory.runs import Frozen

GUARANTEED_SHARE = 0.95
"""Of the tasks with a bounded need, the share whose need is guaranteed; the others may borrow up to the kill value."""
HEADROOM = 1.10
"""Above the largest need that was seen: a peak differs from run to run."""
MUCH = 3.0
"""Multiplier above which more of a resource changes what is measured, says the same study."""


class Allocation(Frozen):
    """In the resource's unit. Both are None, with the reason, where the sweep does not say."""

    guaranteed: float | None
    kill: float | None
    reason: str


class Sweep(Frozen):
    """`plateau` is the multiplier from which on success is shown to stay within `margin` of the largest step."""

    format: Literal["ironcage-sweep/1"] = "ironcage-sweep/1"
    resource: Resource
    base: float
    unit: str
    margin: float
    steps: tuple[Step, ...]
    labels: tuple[Label, ...]
    plateau: float | None
    allocation: Allocation
    noise_floor: float | None
    conclusions: tuple[str, ...]


def read_sweep(runs: Sequence[SweepRun], resource: Resource, base: float, *, margin: float = MARGIN) -> Sweep:
    """`base` is the limit at 1x. Runs are of one model, with everything else equal."""
    steps = by_step(runs)
    found, labels = describe(steps, margin), label_tasks(steps)
    reached = plateau(found)
    allocation = _allocation(labels, resource, base, reached)
    return Sweep(
        resource=resource,
        base=base,
        unit=UNITS[resource],
        margin=margin,
        steps=found,
        labels=labels,
        plateau=reached.multiplier if reached else None,
        allocation=allocation,
        noise_floor=found[-1].noise_floor if found else None,
        conclusions=tuple(_conclusions(found, labels, reached, margin, allocation)),
    )


def _allocation(labels: Sequence[Label], resource: Resource, base: float, reached: Step | None) -> Allocation:
    bounded = [label for label in labels if label.fit in ("fits", "headroom-bound", "model")]
    needs = sorted(need for label in bounded if (need := _need(label, base)) is not None)
    if reached is None:
        return Allocation(guaranteed=None, kill=None, reason="no plateau is shown, so no value can be called enough")
    if not needs or len(needs) < len(bounded):
        lacking = len(bounded) - len(needs)
        return Allocation(guaranteed=None, kill=None, reason=f"the need of {count(lacking, 'task')} is not known")
    guaranteed = needs[math.ceil(GUARANTEED_SHARE * len(needs)) - 1]
    kill = needs[-1] * HEADROOM
    reason = (
        f"guaranteed covers {percent(GUARANTEED_SHARE)} of {count(len(needs), 'task')} with a bounded need, kill lies "
        f"{100 * (HEADROOM - 1):.0f} % above the largest"
    )
    if kill > MUCH * base:
        reason += f"; it is more than {MUCH:g} times the base, where more of a resource changes what is measured"
    return Allocation(guaranteed=_up(guaranteed, resource), kill=_up(kill, resource), reason=reason)


def _need(label: Label, base: float) -> float | None:
    """What it used; where nobody measured, the limit under which it fitted."""
    if label.need is not None:
        return label.need
    return None if label.fits_at is None else label.fits_at * base


def _up(value: float, resource: Resource) -> float:
    """Rounded up: whole MB, else tenths."""
    scale = 1 if resource == "memory" else 10
    return math.ceil(value * scale - 1e-9) / scale


def _conclusions(
    found: Sequence[Step], labels: Sequence[Label], reached: Step | None, margin: float, allocation: Allocation
) -> list[str]:
    fits = [label.fit for label in labels]
    kinds = ", ".join(f"{fits.count(fit)} {fit}" for fit in dict.fromkeys(fits))
    said = [f"{count(len(labels), 'task')}: {kinds}." if labels else "No run says anything of this resource."]
    within = f"{100 * margin:g} points of {_name(found[-1])}" if found else ""
    if reached is not None:
        said.append(
            f"From {_name(reached)} on success is shown to stay within {within} "
            f"({reached.common_tasks} common tasks, p {p_text(reached.p_equivalent)})."
        )
    elif len(found) > 1:
        last = found[-2]
        said.append(
            f"No plateau is shown: at {_name(last)} success is not shown to lie within {within} "
            f"({last.common_tasks} common tasks, p {p_text(last.p_equivalent)}). That no difference was found does not "
            "say that there is none."
        )
    if allocation.guaranteed is None:
        said.append(f"No values are recommended: {allocation.reason}.")
    else:
        said.append(f"Guarantee {allocation.guaranteed:g}, kill at {allocation.kill:g}: {allocation.reason}.")
    return said


def _name(step: Step) -> str:
    return step_name(float("inf") if step.multiplier is None else step.multiplier)
