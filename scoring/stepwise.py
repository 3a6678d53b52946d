"""Candidates step by step beside the recorded run: agreement, violations, cost and latency, pair by pair.

Both stepwise replays and shadow traffic end in such steps. Agreement is with what was recorded, which need not have
been right: a candidate that leaves the path may do so for the better, and only a run to the end can say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from scoring.estimates import Estimate, mean, rate, unknown
from trajectory.runs import Action, Frozen, Run, StepResult


class StepwiseRow(Frozen):
    """One candidate. Rates and means are over steps, with errors clustered by task.

    `steps` were sent; those without a known action on either side (`unknown_steps`) are in no agreement. `agreement`
    is of the whole action: the same tools with the same arguments, or text where the recording has text; `same_text`
    is told apart, since models hardly ever write the same sentence. Differences are candidate minus recorded.
    """

    candidate: str
    runs: int
    tasks: int
    steps: int
    unknown_steps: int
    agreement: Estimate
    same_tools: Estimate
    same_arguments: Estimate
    same_text: Estimate
    runs_in_full_agreement: Estimate
    violation_rate: Estimate
    violations: dict[str, int]
    recorded_violations: dict[str, int]
    mean_latency_s: Estimate
    latency_difference_s: Estimate
    mean_cost_usd: Estimate
    cost_difference_usd: Estimate
    total_cost_usd: float | None


def stepwise_rows(runs: Sequence[Run]) -> tuple[StepwiseRow, ...]:
    """Of the runs that have steps, in the order in which candidates first appear; empty if there are none."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        if run.steps:
            by_name.setdefault(run.candidate.name, []).append(run)
    return tuple(_row(name, found) for name, found in by_name.items())


def agrees(step: StepResult) -> bool | None:
    """None where it cannot be said."""
    if step.same_tools and step.same_arguments is not None:
        return step.same_arguments
    return step.same_tools


_Step = tuple[str, StepResult]
"""The task, which is the cluster, and a step of one of its runs."""


def _row(name: str, runs: Sequence[Run]) -> StepwiseRow:
    steps = [(run.task, step) for run in runs for step in run.steps]
    costs = [step.candidate.cost_usd for _, step in steps]
    whole = [(run.task, _whole_run(run)) for run in runs]
    return StepwiseRow(
        candidate=name,
        runs=len(runs),
        tasks=len({run.task for run in runs}),
        steps=len(steps),
        unknown_steps=sum(agrees(step) is None for _, step in steps),
        agreement=_share(steps, agrees),
        same_tools=_share(steps, lambda step: step.same_tools),
        same_arguments=_share(steps, lambda step: step.same_arguments),
        same_text=_share(steps, lambda step: step.same_text),
        runs_in_full_agreement=_rate((task, same) for task, same in whole if same is not None),
        violation_rate=_share(steps, lambda step: bool(step.candidate.violations)),
        violations=_codes(step.candidate for _, step in steps),
        recorded_violations=_codes(step.recorded for _, step in steps),
        mean_latency_s=_mean(steps, _latency),
        latency_difference_s=_difference(steps, _latency),
        mean_cost_usd=_mean(steps, _cost),
        cost_difference_usd=_difference(steps, _cost),
        total_cost_usd=None if None in costs else math.fsum(cost for cost in costs if cost is not None),
    )


def _whole_run(run: Run) -> bool | None:
    said = [agrees(step) for step in run.steps]
    return False if False in said else None if None in said else True


def _latency(action: Action) -> float | None:
    return action.latency_s if action.is_known else None


def _cost(action: Action) -> float | None:
    return action.cost_usd


def _share(steps: Sequence[_Step], same: Callable[[StepResult], bool | None]) -> Estimate:
    return _rate((task, said) for task, step in steps if (said := same(step)) is not None)


def _rate(hits: Iterable[tuple[str, bool]]) -> Estimate:
    found = list(hits)
    return rate([hit for _, hit in found], [task for task, _ in found]) if found else unknown("no step to compare")


def _mean(steps: Sequence[_Step], value: Callable[[Action], float | None]) -> Estimate:
    found = [(task, known) for task, step in steps if (known := value(step.candidate)) is not None]
    if not found:
        return unknown("no step has this value")
    return mean([known for _, known in found], [task for task, _ in found])


def _difference(steps: Sequence[_Step], value: Callable[[Action], float | None]) -> Estimate:
    found = [
        (task, ours - theirs)
        for task, step in steps
        if (ours := value(step.candidate)) is not None and (theirs := value(step.recorded)) is not None
    ]
    if not found:
        return unknown("no pair of steps has this value on both sides")
    found_mean = mean([delta for _, delta in found], [task for task, _ in found], least=-math.inf)
    return found_mean.model_copy(update={"method": f"{found_mean.method}, of paired differences"})


def _codes(actions: Iterable[Action]) -> dict[str, int]:
    return dict(sorted(Counter(code for action in actions for code in action.violations).items()))
