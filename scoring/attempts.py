"""Retries as they were made: which errors each operation met, and what the attempts in vain cost.

An attempt was in vain if it did not complete, or if its operation was tried again after it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from scoring.estimates import Estimate, mean, rate, ratio, unknown
from trajectory.prices import cost_usd
from trajectory.runs import Frozen
from trajectory.trajectory import AttemptView, Step, Trajectory


class Wasted(Frozen):
    """Attempts in vain. Tokens are those that providers reported for `counted` of them; `cost_usd` is None where one of
    them may have been billed and nobody says how much.
    """

    attempts: int
    counted: int
    input_tokens: int
    output_tokens: int
    seconds: float
    cost_usd: float | None


class Attempts(Frozen):
    """One run. `patterns` counts the operations that did not succeed at once, by how their attempts ended, in order:
    "429,429,200" is two refusals for rate and then success. Where there was no status, the word says how it ended.
    """

    operations: int
    retries: int
    retried: int
    patterns: dict[str, int]
    wasted: Wasted
    cost_usd: float | None


class AttemptPool(Frozen):
    """A candidate's runs. `retry_rate` is retries per operation, `retried_runs` the share of runs with any."""

    retry_rate: Estimate
    retried_runs: Estimate
    mean_wasted_attempts: Estimate
    mean_wasted_tokens: Estimate
    mean_wasted_s: Estimate
    mean_wasted_usd: Estimate
    wasted_uncounted: int
    patterns: dict[str, int]


def attempts_of(trajectory: Trajectory) -> Attempts:
    steps = trajectory.steps
    vain = list(_in_vain(steps))
    usages = [view.answer.usage for _, view in vain if view.answer and view.answer.usage]
    return Attempts(
        operations=len(steps),
        retries=trajectory.retries,
        retried=sum(1 for step in steps if step.retries),
        patterns=dict(sorted(Counter(pattern_of(step) for step in steps if not _is_smooth(step)).items())),
        wasted=Wasted(
            attempts=len(vain),
            counted=len(usages),
            input_tokens=sum(usage.input_tokens or 0 for usage in usages),
            output_tokens=sum(usage.output_tokens or 0 for usage in usages),
            seconds=math.fsum(view.total_s for _, view in vain),
            cost_usd=_sum(attempt_cost_usd(step, view) for step, view in vain if step.kind == "model"),
        ),
        cost_usd=_sum(attempt_cost_usd(step, view) for step in trajectory.model_steps for view in step.attempts)
        if trajectory.model_steps
        else None,
    )


def pattern_of(step: Step) -> str:
    return ",".join(map(_ending, step.attempts))


def attempt_cost_usd(step: Step, view: AttemptView) -> float | None:
    """What a model attempt cost; 0 where it was refused or turned away before a model worked, None if nobody knows."""
    usage = view.answer.usage if view.answer else None
    if usage is not None:
        model = (view.answer.model if view.answer else None) or step.model
        price = cost_usd(usage, model, step.host, view.started_at) if model else None
        if price is None and step.model and model != step.model:
            price = cost_usd(usage, step.model, step.host, view.started_at)
        return price
    turned_away = view.status is not None and view.status >= 400
    never_sent = view.end == "refused" and view.first_byte_s is None
    return 0.0 if turned_away or never_sent else None


def pool_attempts(runs: Sequence[tuple[str, Attempts]]) -> AttemptPool:
    """`runs` are (task, attempts) of the runs that have a recorded trajectory."""
    if not runs:
        nothing = unknown("no run has a recorded trajectory")
        return AttemptPool(
            retry_rate=nothing,
            retried_runs=nothing,
            mean_wasted_attempts=nothing,
            mean_wasted_tokens=nothing,
            mean_wasted_s=nothing,
            mean_wasted_usd=nothing,
            wasted_uncounted=0,
            patterns={},
        )
    tasks, wasted = [task for task, _ in runs], [run.wasted for _, run in runs]
    priced = [(task, run.wasted.cost_usd) for task, run in runs if run.wasted.cost_usd is not None]
    patterns: Counter[str] = Counter()
    for _, run in runs:
        patterns.update(run.patterns)
    return AttemptPool(
        retry_rate=ratio([run.retries for _, run in runs], [run.operations for _, run in runs], tasks),
        retried_runs=rate([run.retries > 0 for _, run in runs], tasks),
        mean_wasted_attempts=mean([one.attempts for one in wasted], tasks),
        mean_wasted_tokens=mean([one.input_tokens + one.output_tokens for one in wasted], tasks),
        mean_wasted_s=mean([one.seconds for one in wasted], tasks),
        mean_wasted_usd=mean([usd for _, usd in priced], [task for task, _ in priced])
        if len(priced) == len(runs)
        else unknown(f"{len(runs) - len(priced)} of {len(runs)} runs wasted something without a known price"),
        wasted_uncounted=sum(one.attempts - one.counted for one in wasted),
        patterns=dict(sorted(patterns.items(), key=lambda item: (-item[1], item[0]))),
    )


def _in_vain(steps: Sequence[Step]) -> Iterator[tuple[Step, AttemptView]]:
    for step in steps:
        for view in step.attempts:
            if view is not step.last or view.end != "complete":
                yield step, view


def _is_smooth(step: Step) -> bool:
    return len(step.attempts) == 1 and step.last.end == "complete"


def _ending(view: AttemptView) -> str:
    """The status; for a reply that broke off, how; where there was no reply, that."""
    if view.end in ("complete", "failed") and view.status is not None:
        return str(view.status)
    return "no reply" if view.end == "failed" else view.end


def _sum(costs: Iterator[float | None]) -> float | None:
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
