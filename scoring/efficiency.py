"""The formulas of efficiency and score, and how sure they are.

    efficiency = success_rate / (1 + mean_peak_memory_mb / 1024 + 0.1 * mean_tool_calls)
    score      = success_weight * success_rate + efficiency_weight * efficiency
                 - penalty_oom * oom_rate - penalty_timeout * timeout_rate
                 [- penalty_near_ceiling * near_ceiling]

The last term is there only where its weight is not 0, which is the default: near_ceiling is the mean over runs of how
far peak memory reached into the zone below its limit (0 at `near_ceiling_from` of it, 1 at the limit).

They are an interface: a change needs a decision record. An input that is unknown makes the result unknown.

Interval: each input has its own 95 % limits; those distances, weighted by the slope of the formula, are combined
with the correlation of the inputs over tasks (method of variance estimates recovery: Zou and Donner 2008, general
form Zou 2008). Unlike the plain delta method it stays honest where all runs passed or none ran out of memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from scoring.estimates import Estimate, task_means, unknown
from scoring.statistics import Interval, correlation
from trajectory.runs import Bakeoff, Frozen

EFFICIENCY_FORMULA = "efficiency = success_rate / (1 + mean_peak_memory_mb / 1024 + 0.1 * mean_tool_calls)"
SCORE_FORMULA = (
    "score = success_weight * success_rate + efficiency_weight * efficiency"
    " - penalty_oom * oom_rate - penalty_timeout * timeout_rate"
)
_METHOD = "95 % interval by variance recovery (Zou 2008) from the intervals of its inputs, correlated over tasks"


class Weights(Frozen):
    success_weight: float = 0.6
    efficiency_weight: float = 0.4
    penalty_oom: float = 1.0
    penalty_timeout: float = 0.8
    penalty_near_ceiling: float = 0.0
    near_ceiling_from: Annotated[float, Field(ge=0, lt=1)] = 0.85

    @classmethod
    def of(cls, bakeoff: Bakeoff) -> Weights:
        """The weights that the bake-off was run with; the defaults of the interface for those it does not name."""
        return cls.model_validate(bakeoff.weights)


@dataclass(frozen=True, slots=True)
class Input:
    """One input of the formulas over the runs of a candidate; `tasks` names the task of each value."""

    estimate: Estimate
    values: Sequence[float]
    tasks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Inputs:
    success_rate: Input
    mean_peak_memory_mb: Input
    mean_tool_calls: Input
    oom_rate: Input
    timeout_rate: Input
    near_ceiling: Input


def efficiency(success_rate: float, mean_peak_memory_mb: float, mean_tool_calls: float) -> float:
    return success_rate / (1 + mean_peak_memory_mb / 1024 + 0.1 * mean_tool_calls)


def score_formula(weights: Weights) -> str:
    return SCORE_FORMULA + (" - penalty_near_ceiling * near_ceiling" if weights.penalty_near_ceiling else "")


def score(
    success_rate: float,
    efficiency: float,
    oom_rate: float,
    timeout_rate: float,
    weights: Weights,
    near_ceiling: float = 0.0,
) -> float:
    return (
        weights.success_weight * success_rate
        + weights.efficiency_weight * efficiency
        - weights.penalty_oom * oom_rate
        - weights.penalty_timeout * timeout_rate
        - weights.penalty_near_ceiling * near_ceiling
    )


def estimate_efficiency(inputs: Inputs) -> Estimate:
    missing = _unknown_inputs(inputs, ("success_rate", "mean_peak_memory_mb", "mean_tool_calls"))
    if missing:
        return unknown(missing)
    success, memory, calls = (
        _value(inputs.success_rate),
        _value(inputs.mean_peak_memory_mb),
        _value(inputs.mean_tool_calls),
    )
    slopes = _efficiency_slopes(success, memory, calls)
    return _combine(efficiency(success, memory, calls), inputs, slopes)


def estimate_score(inputs: Inputs, weights: Weights) -> Estimate:
    names = ["success_rate", "mean_peak_memory_mb", "mean_tool_calls", "oom_rate", "timeout_rate"]
    if weights.penalty_near_ceiling:
        names.append("near_ceiling")
    missing = _unknown_inputs(inputs, names)
    if missing:
        return unknown(missing)
    success, memory, calls = (
        _value(inputs.success_rate),
        _value(inputs.mean_peak_memory_mb),
        _value(inputs.mean_tool_calls),
    )
    slopes = {name: weights.efficiency_weight * s for name, s in _efficiency_slopes(success, memory, calls).items()}
    slopes["success_rate"] += weights.success_weight
    slopes["oom_rate"] = -weights.penalty_oom
    slopes["timeout_rate"] = -weights.penalty_timeout
    if weights.penalty_near_ceiling:
        slopes["near_ceiling"] = -weights.penalty_near_ceiling
    value = score(
        success,
        efficiency(success, memory, calls),
        _value(inputs.oom_rate),
        _value(inputs.timeout_rate),
        weights,
        _value(inputs.near_ceiling) if weights.penalty_near_ceiling else 0.0,
    )
    return _combine(value, inputs, slopes)


def _efficiency_slopes(success: float, memory: float, calls: float) -> dict[str, float]:
    cost = 1 + memory / 1024 + 0.1 * calls
    return {
        "success_rate": 1 / cost,
        "mean_peak_memory_mb": -success / cost**2 / 1024,
        "mean_tool_calls": -success / cost**2 * 0.1,
    }


def _combine(value: float, inputs: Inputs, slopes: Mapping[str, float]) -> Estimate:
    parts: list[tuple[float, Input]] = [(slope, getattr(inputs, name)) for name, slope in slopes.items()]
    n = inputs.success_rate.estimate.n
    if any(part.estimate.low is None or part.estimate.high is None for _, part in parts):
        return Estimate(value=value, n=n, method="formula; an input has no interval, so neither has this")
    parts = [
        (slope, part) for slope, part in parts if part.estimate.low != part.estimate.high
    ]  # the rest moves nothing
    correlations = _correlations(parts)
    interval = Interval(
        value - _reach([_downward(slope, part.estimate) for slope, part in parts], correlations),
        value + _reach([_downward(-slope, part.estimate) for slope, part in parts], correlations),
    )
    return Estimate(value=value, n=n, low=interval.low, high=interval.high, method=_METHOD)


def _downward(slope: float, estimate: Estimate) -> float:
    """How far this input alone can move the result: signed like the slope, towards the limit that lowers it."""
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return slope * (estimate.value - estimate.low) if slope > 0 else -slope * (estimate.high - estimate.value)


def _reach(distances: Sequence[float], correlations: Sequence[Sequence[float]]) -> float:
    total = math.fsum(correlations[i][j] * a * b for i, a in enumerate(distances) for j, b in enumerate(distances))
    return math.sqrt(max(0.0, total))


def _correlations(parts: Sequence[tuple[float, Input]]) -> list[list[float]]:
    """Of the parts' contributions over the tasks that both know; 0 where nothing varies, so nothing can be said."""
    means = [
        {task: slope * value for task, value in task_means(part.values, part.tasks).items()} for slope, part in parts
    ]
    return [[1.0 if i == j else _correlated(a, b) for j, b in enumerate(means)] for i, a in enumerate(means)]


def _correlated(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    common = sorted(a.keys() & b.keys())
    return correlation([a[task] for task in common], [b[task] for task in common]) or 0.0


def _unknown_inputs(inputs: Inputs, names: Sequence[str]) -> str:
    reasons: list[tuple[str, Estimate]] = [(name, getattr(inputs, name).estimate) for name in names]
    return "; ".join(f"{name} is unknown: {e.unknown_because}" for name, e in reasons if e.value is None)


def _value(part: Input) -> float:
    assert part.estimate.value is not None
    return part.estimate.value
