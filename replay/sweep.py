"""A sweep: the same bake-off with one limit after another lifted step by step, to tell a tight limit from a bad model.

Memory, CPU time and wall time are multiplied apart, so that a task that ends differently says by what. The ladder is
that of Anthropic's study of infrastructure noise (2026-02-05), whose steps up to 3 times left scores within noise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from replay.bakeoff import Plan
from trajectory.errors import OperatorError
from trajectory.runs import Limits, Run

SweptResource = Literal["memory", "cpu_time", "wall_time"]
"""Named as the kill causes are."""
LADDER: tuple[float | None, ...] = (1.0, 1.5, 3.0, 5.0, None)
"""Multiples of the limit; None is uncapped."""
MIN_TRIALS = 3

_LIMITS: dict[SweptResource, str] = {"memory": "memory_mb", "cpu_time": "cpu_s", "wall_time": "wall_s"}


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: all limits as asked, but for that of `resource`. `plan` is a bake-off of its own."""

    resource: SweptResource
    multiple: float | None
    plan: Plan


Bake = Callable[[Rung], Awaitable[Sequence[Run]]]
"""Carries out the bake-off of a rung; its runs."""


def rung(plan: Plan, resource: SweptResource, multiple: float | None) -> Rung:
    """At 1 it is the plan's own limits, and the same bake-off for every resource."""
    limits = plan.limits
    name = _LIMITS[resource]
    asked: float | None = getattr(limits, name)
    if asked is None:
        raise OperatorError(
            f"the {resource.replace('_', ' ')} is not limited, so there is nothing to sweep",
            hint=f"set a limit in the constraints, or sweep only {', '.join(swept(limits)) or 'what is limited'}",
        )
    lifted = limits.model_copy(update={name: None if multiple is None else asked * multiple})
    return Rung(resource, multiple, replace(plan, id=rung_id(plan.id, resource, multiple), limits=lifted))


def rung_id(sweep: str, resource: SweptResource, multiple: float | None) -> str:
    if multiple == 1:
        return f"{sweep}.1x"
    return f"{sweep}.{resource}." + ("uncapped" if multiple is None else f"{multiple:g}x")


def swept(limits: Limits) -> tuple[SweptResource, ...]:
    """The resources that have a limit."""
    return tuple(resource for resource, name in _LIMITS.items() if getattr(limits, name) is not None)


async def climb(
    plan: Plan,
    resources: Sequence[SweptResource],
    bake: Bake,
    *,
    ladder: Sequence[float | None] = LADDER,
    everything: bool = False,
) -> list[tuple[Rung, Sequence[Run]]]:
    """Bake the ladder of each resource from below.

    From the second step on only tasks come again of which a run hit this limit one step below: what ended by itself
    ends so with more. `everything` runs all tasks at every step, which shows that instead of assuming it.
    OperatorError for a ladder that does not rise from 1.
    """
    _check(plan, ladder)
    climbed: list[tuple[Rung, Sequence[Run]]] = []
    base: Sequence[Run] | None = None
    for resource in resources:
        tasks = {task.id for task in plan.tasks}
        for multiple in ladder:
            if not tasks:
                break
            here = rung(replace(plan, tasks=tuple(task for task in plan.tasks if task.id in tasks)), resource, multiple)
            if multiple == 1 and base is not None:
                runs = base
            else:
                runs = await bake(here)
            if multiple == 1:
                base = runs
            climbed.append((here, runs))
            if not everything:
                tasks = set(stopped_by(resource, runs))
    return climbed


def stopped_by(resource: SweptResource, runs: Iterable[Run]) -> list[str]:
    """The tasks of which a run hit the limit of `resource`."""
    return sorted({run.task for run in runs if run.certificate.kill_cause == resource})


def _check(plan: Plan, ladder: Sequence[float | None]) -> None:
    numbers = [multiple for multiple in ladder if multiple is not None]
    rises = numbers == sorted(set(numbers)) and None not in ladder[:-1]
    if not numbers or numbers[0] != 1 or not rises:
        shown = ", ".join("uncapped" if multiple is None else f"{multiple:g}" for multiple in ladder)
        raise OperatorError(f"the ladder {shown} does not rise from 1", hint="for example 1, 1.5, 3, 5, uncapped")
    if plan.trials < MIN_TRIALS:
        raise OperatorError(
            f"{plan.trials} trials cannot tell a limit from chance", hint=f"take at least {MIN_TRIALS} trials"
        )
