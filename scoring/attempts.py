"""Retries as they were made: which errors each operation met, and what the attempts in vain cost.

An attempt was in vain if it did not complete, or if its operation was tried again after it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from scoring.estimates import Estimate, mean, rate, ratio, unknown
from trajectory.prices import cost_usd
from trajectory.runs import Frozen
from trajectory.trajectory import AttemptView, Step, Trajectory


class Wasted(Frozen):
    """Attempts in vain. `tokens`, in and out, and `cost_usd` are None where a model may have worked on one of them and
    nobody says how much. What was refused or turned away with an error status cost neither.
    """

    attempts: int
    tokens: int | None
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
    patterns: dict[str, int]


def attempts_of(trajectory: Trajectory) -> Attempts:
    steps = trajectory.steps
    models, vain = trajectory.model_steps, list(_in_vain(steps))
    asked = [(step, view) for step, view in vain if step.kind == "model"]
    return Attempts(
        operations=len(steps),
        retries=trajectory.retries,
        retried=sum(1 for step in steps if step.retries),
        patterns=dict(sorted(Counter(pattern_of(step) for step in steps if not _is_smooth(step)).items())),
        wasted=Wasted(
            attempts=len(vain),
            tokens=_sum(_tokens(view) for _, view in asked),
            seconds=math.fsum(view.total_s for _, view in vain),
            cost_usd=_sum(attempt_cost_usd(step, view) for step, view in asked),
        ),
        cost_usd=_sum(attempt_cost_usd(step, view) for step in models for view in step.attempts) if models else None,
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
    return 0.0 if _came_to_nothing(view) else None


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
            patterns={},
        )
    tasks, wasted = [task for task, _ in runs], [run.wasted for _, run in runs]
    patterns: Counter[str] = Counter()
    for _, run in runs:
        patterns.update(run.patterns)
    return AttemptPool(
        retry_rate=ratio([run.retries for _, run in runs], [run.operations for _, run in runs], tasks),
        retried_runs=rate([run.retries > 0 for _, run in runs], tasks),
        mean_wasted_attempts=mean([one.attempts for one in wasted], tasks),
        mean_wasted_tokens=_mean_if_all(tasks, [one.tokens for one in wasted], "count of tokens"),
        mean_wasted_s=mean([one.seconds for one in wasted], tasks),
        mean_wasted_usd=_mean_if_all(tasks, [one.cost_usd for one in wasted], "price"),
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


def _came_to_nothing(view: AttemptView) -> bool:
    """No model worked on it: turned away with an error status, or refused before it was sent."""
    return (view.status is not None and view.status >= 400) or (view.end == "refused" and view.first_byte_s is None)


def _tokens(view: AttemptView) -> int | None:
    usage = view.answer.usage if view.answer else None
    if usage is None:
        return 0 if _came_to_nothing(view) else None
    return (
        None if usage.input_tokens is None or usage.output_tokens is None else usage.input_tokens + usage.output_tokens
    )


def _mean_if_all(tasks: Sequence[str], values: Sequence[float | None], what: str) -> Estimate:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        because = f"{len(values) - len(known)} of {len(values)} runs have an attempt in vain without a known {what}"
        return unknown(because, n=len(known))
    return mean(known, tasks)


def _sum[Number: (int, float)](parts: Iterable[Number | None]) -> Number | None:
    """None if one of them is."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)
