"""Candidates beside each other: paired tests on common tasks, rankings under three denominators, what flips them.

With one run per task and candidate the test is McNemar's, exact. With several trials the mean over trials comes
first, then the paired t test over tasks (Miller 2024): trials of one task are not independent pairs. Where all tasks
differ by the same, t has no spread to go by, and the signs decide, exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Literal

from scoring.estimates import Estimate, unknown
from scoring.noise.floor import noise_floor
from scoring.scorecard import Basis, CandidateRow, Pair, PairResult, Place, Ranking, RunRow
from scoring.statistics import holm, mcnemar_exact, paired_difference

PairBasis = Literal["as_scored", "all_counted"]
ALPHA = 0.05

_Passes = Mapping[str, Sequence[bool]]
"""For each task whether its runs passed."""


def compare_pairs(rows: Sequence[RunRow], names: Sequence[str]) -> tuple[Pair, ...]:
    """Every pair in the order of `names`; p values are adjusted by Holm over all pairs of a basis."""
    scored, counted = _passes(rows, "as_scored"), _passes(rows, "all_counted")
    keys = list(combinations(names, 2))
    left = _adjusted([_pair(scored[a], scored[b], "as_scored") for a, b in keys])
    right = _adjusted([_pair(counted[a], counted[b], "all_counted") for a, b in keys])
    return tuple(Pair(a=a, b=b, as_scored=x, all_counted=y) for (a, b), x, y in zip(keys, left, right, strict=True))


def rank(rows: Sequence[CandidateRow]) -> tuple[Ranking, ...]:
    """Success rate under each denominator, best first."""
    counts: dict[Basis, Callable[[CandidateRow], tuple[int, int]]] = {
        "as_scored": lambda row: (row.passed, row.passed + row.failed),
        "all_counted": lambda row: (row.passed, row.runs),
        "all_undecided_passed": lambda row: (row.passed + row.excluded + row.unknown_runs, row.runs),
    }
    return tuple(Ranking(basis=basis, places=_places(rows, count)) for basis, count in counts.items())


def flipped(rankings: Sequence[Ranking]) -> tuple[tuple[str, str], ...]:
    """Pairs (a, b) where a is strictly ahead as scored and strictly behind under another denominator."""
    rates = [{place.candidate: place.rate for place in ranking.places} for ranking in rankings]
    scored, others = rates[0], rates[1:]
    return tuple(
        (a, b)
        for a in scored
        for b in scored
        if scored[a] > scored[b] and any(other.get(a, 0.0) < other.get(b, 0.0) for other in others)
    )


def is_different(pair: Pair) -> bool:
    """At 5 % after Holm's correction, both with infrastructure faults excluded and with all runs counted, and above the
    noise floor where repeats tell it.

    A difference that only one way of counting shows is a statement about the counting.
    """
    return is_significant(pair) and not is_below_floor(pair)


def is_significant(pair: Pair) -> bool:
    return all(p is not None and p < ALPHA for p in (pair.as_scored.p_holm, pair.all_counted.p_holm)) and (
        pair.as_scored.passed_a > pair.as_scored.passed_b
    ) == (pair.all_counted.passed_a > pair.all_counted.passed_b)


def is_below_floor(pair: Pair) -> bool:
    """False where there is no floor: no task was tried twice."""
    return any(
        result.noise_floor is not None and abs(result.difference.value or 0.0) < result.noise_floor
        for result in (pair.as_scored, pair.all_counted)
    )


def _passes(rows: Sequence[RunRow], basis: PairBasis) -> defaultdict[str, dict[str, list[bool]]]:
    passes: defaultdict[str, dict[str, list[bool]]] = defaultdict(dict)
    for row in rows:
        if basis == "all_counted" or row.counting == "scored":
            passes[row.candidate].setdefault(row.task, []).append(row.passed)
    return passes


def _pair(a: _Passes, b: _Passes, basis: PairBasis) -> PairResult:
    tasks = [task for task in a if task in b]
    means_a = [sum(a[task]) / len(a[task]) for task in tasks]
    means_b = [sum(b[task]) / len(b[task]) for task in tasks]
    only_a = tuple(task for task, x, y in zip(tasks, means_a, means_b, strict=True) if x > y)
    only_b = tuple(task for task, x, y in zip(tasks, means_a, means_b, strict=True) if x < y)
    paired = paired_difference(means_a, means_b)
    single = all(len(a[task]) == len(b[task]) == 1 for task in tasks)
    if paired is None:
        p_value, test = None, "none: no common task"
    elif single:
        p_value, test = mcnemar_exact(len(only_a), len(only_b)), "exact McNemar, two-sided"
    elif paired.p_value is None:
        p_value, test = (
            mcnemar_exact(len(only_a), len(only_b)),
            "exact sign test over tasks, whose differences are equal",
        )
    else:
        p_value, test = paired.p_value, "paired t test over tasks, mean over trials first"
    return PairResult(
        basis=basis,
        tasks=len(tasks),
        passed_a=sum(means_a),
        passed_b=sum(means_b),
        only_a=only_a,
        only_b=only_b,
        difference=_difference(means_a, means_b),
        p_value=p_value,
        p_holm=None,
        test=test,
        noise_floor=noise_floor({task: a[task] for task in tasks}, {task: b[task] for task in tasks}),
    )


def _difference(a: Sequence[float], b: Sequence[float]) -> Estimate:
    paired = paired_difference(a, b)
    if paired is None:
        return unknown("no common task")
    if paired.interval is None:
        return Estimate(value=paired.mean, n=len(a), method="paired difference over tasks; no spread, no interval")
    low, high = paired.interval.cut_at(1.0)
    return Estimate(
        value=paired.mean, n=len(a), low=low, high=high, method="paired difference over tasks, 95 % t interval"
    )


def _adjusted(results: Sequence[PairResult]) -> list[PairResult]:
    adjusted = holm([result.p_value for result in results])
    return [result.model_copy(update={"p_holm": p}) for result, p in zip(results, adjusted, strict=True)]


def _places(rows: Sequence[CandidateRow], count: Callable[[CandidateRow], tuple[int, int]]) -> tuple[Place, ...]:
    counted = [(row.candidate.name, *count(row)) for row in rows]
    rates = sorted(((passed / n, name, passed, n) for name, passed, n in counted if n), key=lambda r: (-r[0], r[1]))
    return tuple(
        Place(rank=1 + sum(1 for other in rates if other[0] > value), candidate=name, passed=passed, runs=n, rate=value)
        for value, name, passed, n in rates
    )
