"""How far the leader is ahead of each other contender, and whether that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scoring.comparison import is_below_floor
from scoring.decision.model import Margin
from scoring.decision.presets import Objective
from scoring.estimates import Estimate, task_means, unknown
from scoring.scorecard import Pair, RunRow, Scorecard
from scoring.statistics import holm, paired_difference
from scoring.statistics.permutation import sign_flip_test

_SEED = 20261123
"""Of permutations that are drawn: the same runs give the same report."""


def margins(
    card: Scorecard, leader: str, others: Sequence[str], objective: Objective, alpha: float
) -> tuple[Margin, ...]:
    if objective.is_success:
        return tuple(_of_success(_pair(card, leader, other), leader, other, alpha) for other in others)
    values = {name: task_values(card.runs, name, objective) for name in (leader, *others)}
    return _of_cost(values, leader, others, alpha)


def task_values(runs: Sequence[RunRow], name: str, objective: Objective) -> dict[str, float]:
    """Mean over the candidate's counted trials of each task; runs that do not say are left out."""
    rows = [run for run in runs if run.candidate == name and run.is_ranked]
    known = [(value, run.task) for run in rows if (value := objective.value(run)) is not None]
    return task_means([value for value, _ in known], [task for _, task in known])


def _of_success(pair: Pair, leader: str, other: str, alpha: float) -> Margin:
    """Shown where both ways of counting say so, in the same direction, above the noise floor."""
    results = (pair.as_scored, pair.all_counted)
    leads = [r.passed_a - r.passed_b if pair.a == leader else r.passed_b - r.passed_a for r in results]
    p_values = [r.p_holm for r in results if r.p_holm is not None]
    p_value = max(p_values) if len(p_values) == len(results) else None
    is_shown = p_value is not None and p_value < alpha and min(leads) > 0 and not is_below_floor(pair)
    lead = pair.as_scored.difference if pair.a == leader else _turned(pair.as_scored.difference)
    test = f"{pair.as_scored.test}; the larger p of both ways of counting, after Holm over all pairs"
    return Margin(over=other, lead=lead, p_value=p_value, test=test, is_shown=is_shown)


def _of_cost(
    values: Mapping[str, Mapping[str, float]], leader: str, others: Sequence[str], alpha: float
) -> tuple[Margin, ...]:
    found = [_cheaper(values[leader], values[other]) for other in others]
    adjusted = holm([p_value for _, p_value in found])
    test = "sign-flip permutation over tasks, after Holm over the contenders"
    return tuple(
        Margin(
            over=other,
            lead=lead,
            p_value=p_value,
            test=test,
            is_shown=p_value is not None and p_value < alpha and (lead.value or 0.0) > 0,
        )
        for other, (lead, _), p_value in zip(others, found, adjusted, strict=True)
    )


def _cheaper(leader: Mapping[str, float], other: Mapping[str, float]) -> tuple[Estimate, float | None]:
    tasks = [task for task in leader if task in other]
    paired = paired_difference([other[task] for task in tasks], [leader[task] for task in tasks])
    tested = sign_flip_test([other[task] - leader[task] for task in tasks], seed=_SEED)
    if paired is None or tested is None:
        return unknown("no common task"), None
    low, high = paired.interval or (None, None)
    method = "paired difference over tasks, 95 % t interval" if paired.interval else "paired difference; no spread"
    return Estimate(value=paired.mean, n=len(tasks), low=low, high=high, method=method), tested.p_value


def _pair(card: Scorecard, a: str, b: str) -> Pair:
    return next(pair for pair in card.pairs if {pair.a, pair.b} == {a, b})


def _turned(estimate: Estimate) -> Estimate:
    if estimate.value is None:
        return estimate
    low = None if estimate.high is None else -estimate.high
    high = None if estimate.low is None else -estimate.low
    return estimate.model_copy(update={"value": -estimate.value, "low": low, "high": high})
