"""A number that says how sure it is: value, n, interval, method. Unknown is None with a reason, never 0."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from scoring.statistics import clustered_se, effective_n, t_interval, wilson
from trajectory.runs import Frozen


class Estimate(Frozen):
    """`n` counts runs unless `method` says otherwise. `low` and `high` bound the 95 % interval, if there is one."""

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    method: str
    unknown_because: str = ""


def unknown(because: str, n: int = 0, method: str = "none") -> Estimate:
    return Estimate(value=None, n=n, method=method, unknown_because=because)


def rate(hits: Sequence[bool], tasks: Sequence[str]) -> Estimate:
    """Share of runs with a hit. `tasks` names the task of each run; several runs of one task are one cluster."""
    n = len(hits)
    if n == 0:
        return unknown("no run to count")
    value = sum(hits) / n
    if len(set(tasks)) == n:
        size, method = float(n), "95 % Wilson interval"
    else:
        size = effective_n([float(hit) for hit in hits], tasks)
        method = f"95 % Wilson interval, effective n {size:.1f} for runs clustered by task"
    interval = wilson(value, size)
    assert interval is not None
    return Estimate(value=value, n=n, low=interval.low, high=interval.high, method=method)


def mean(values: Sequence[float], tasks: Sequence[str], *, least: float = 0.0) -> Estimate:
    """Mean of a quantity that cannot be smaller than `least`, where the interval is cut."""
    n = len(values)
    if n == 0:
        return unknown("no run has this value")
    value = math.fsum(values) / n
    se = clustered_se(values, tasks)
    if se is None:
        return Estimate(value=value, n=n, method="mean; one task gives no interval")
    interval = t_interval(value, se, len(set(tasks)) - 1)
    method = "mean, 95 % t interval, error clustered by task"
    return Estimate(value=value, n=n, low=max(least, interval.low), high=interval.high, method=method)


def ratio(tops: Sequence[float], bottoms: Sequence[float], tasks: Sequence[str], *, most: float = math.inf) -> Estimate:
    """Sum of `tops` over sum of `bottoms`, one of each per run (a micro average), between 0 and `most`.

    Error by linearisation (the residual of each run, clustered by task): runs with more calls weigh more.
    """
    n, whole = len(tops), math.fsum(bottoms)
    if not whole:
        return unknown("nothing to take a share of", n=n)
    value = math.fsum(tops) / whole
    residuals = [top - value * bottom for top, bottom in zip(tops, bottoms, strict=True)]
    se = clustered_se(residuals, tasks)
    if se is None:
        return Estimate(value=value, n=n, method="ratio of sums; one task gives no interval")
    interval = t_interval(value, se * n / whole, len(set(tasks)) - 1)
    method = f"ratio of sums over runs (of {whole:g}), 95 % t interval, linearised error clustered by task"
    return Estimate(value=value, n=n, low=max(0.0, interval.low), high=min(most, interval.high), method=method)


def task_means(values: Sequence[float], tasks: Sequence[str]) -> dict[str, float]:
    by_task: defaultdict[str, list[float]] = defaultdict(list)
    for value, task in zip(values, tasks, strict=True):
        by_task[task].append(value)
    return {task: math.fsum(found) / len(found) for task, found in by_task.items()}
