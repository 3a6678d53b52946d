"""A sweep: the same bake-off with one limit after another lifted step by step, to tell a tight limit from a bad model.

Memory, CPU time and wall time are multiplied apart, so that a task that ends differently says by what. The ladder is
that of Anthropic's study of infrastructure noise (2026-02-05), whose steps up to 3 times left scores within noise.

All candidates and resources climb together: what they have at one step runs in one schedule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from replay.combining import require_meaningful
from replay.plan import Plan
from trajectory.errors import OperatorError
from trajectory.runs import Candidate, Limits, Run

SweptResource = Literal["memory", "cpu_time", "wall_time"]
"""Named as the kill causes are."""
LADDER: tuple[float | None, ...] = (1.0, 1.5, 3.0, 5.0, None)
"""Multiples of the limit; None is uncapped."""
MIN_TRIALS = 3

_LIMITS: dict[SweptResource, str] = {"memory": "memory_mb", "cpu_time": "cpu_s", "wall_time": "wall_s"}


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder for one candidate: all limits as asked, but for that of `resource`. `plan` is a bake-off
    of its own.
    """

    resource: SweptResource
    multiple: float | None
    plan: Plan

    @property
    def candidate(self) -> Candidate:
        return self.plan.candidates[0]


Baked = tuple[Rung, Sequence[Run]]
Bake = Callable[[Sequence[Rung]], Awaitable[Sequence[Sequence[Run]]]]
"""Carries out the bake-offs of some rungs, together; the runs of each."""


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
) -> list[Baked]:
    """Bake the ladder of each candidate and resource of a prepared plan, from below; in that order, step by step.

    From the second step on only tasks come again of which a run of this candidate hit this limit one step below: what
    ended by itself ends so with more. `everything` runs all tasks at every step, which shows that instead of assuming
    it, and all steps together. OperatorError for a ladder that does not rise from 1.
    """
    _check(plan, ladder)
    require_meaningful(plan, swept=resources)
    ways = [_Way(_alone(plan, candidate), resource) for candidate in plan.candidates for resource in resources]
    if everything:
        await _bake([(way, multiple) for way in ways for multiple in ladder], bake)
    else:
        for multiple in ladder:
            await _bake([(way, multiple) for way in ways if way.tasks], bake)
            for way in ways:
                way.narrow()
    return [baked for way in ways for baked in way.climbed]


class _Way:
    """One candidate's way up, by one resource. `tasks` are those that climb on."""

    def __init__(self, plan: Plan, resource: SweptResource) -> None:
        self._plan, self._resource = plan, resource
        self.tasks = {task.id for task in plan.tasks}
        self.climbed: list[Baked] = []

    def rung(self, multiple: float | None) -> Rung:
        tasks = tuple(task for task in self._plan.tasks if task.id in self.tasks)
        return rung(replace(self._plan, tasks=tasks), self._resource, multiple)

    def narrow(self) -> None:
        if self.tasks:
            self.tasks = set(stopped_by(self._resource, self.climbed[-1][1]))


async def _bake(steps: Sequence[tuple[_Way, float | None]], bake: Bake) -> None:
    """Each bake-off once: the first step is the same for all resources."""
    rungs = [(way, way.rung(multiple)) for way, multiple in steps]
    once: dict[str, Rung] = {}
    for _, here in rungs:
        once.setdefault(here.plan.id, here)
    if not once:
        return
    runs = dict(zip(once, await bake(list(once.values())), strict=True))
    for way, here in rungs:
        way.climbed.append((here, runs[here.plan.id]))


def _alone(plan: Plan, candidate: Candidate) -> Plan:
    """What one candidate hits is no reason to run another again."""
    return replace(plan, id=f"{plan.id}.{candidate.name}", candidates=(candidate,), reference=None)


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
