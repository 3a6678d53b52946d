"""The noise floor: the difference that two sets of runs of one and the same model show in 19 of 20 cases at most.

It comes from repeats alone: how far the trials of one task scatter. What a report calls a difference must be larger,
whatever a test over tasks says: a test may be lucky with tasks that happen to agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from scoring.statistics import CONFIDENCE


def noise_floor(a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]]) -> float | None:
    """For the difference of means over the tasks of `a` and `b`, each with its trials.

    None where a side has no task that was tried twice: then nothing is known of its noise.
    """
    variances = [_of_trials(list(side.values())) for side in (a, b)]
    if variances[0] is None or variances[1] is None:
        return None
    return NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * math.sqrt(variances[0] + variances[1])


def _of_trials(tasks: Sequence[Sequence[float]]) -> float | None:
    """Variance of the mean over tasks that trials alone cause; tasks tried once are taken to scatter like the rest."""
    repeated = [_variance(trials) for trials in tasks if len(trials) > 1]
    if not repeated:
        return None
    usual = math.fsum(repeated) / len(repeated)
    each = (_variance(trials) if len(trials) > 1 else usual for trials in tasks)
    return math.fsum(v / len(trials) for v, trials in zip(each, tasks, strict=True)) / len(tasks) ** 2


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
