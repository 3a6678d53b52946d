"""One row per candidate: its runs added up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from scoring.conduct import pool_conduct
from scoring.efficiency import Input, Inputs, Weights, estimate_efficiency, estimate_score
from scoring.estimates import Estimate, mean, rate, ratio, unknown
from scoring.fidelity.footing import FOOTINGS, Footing
from scoring.limits import Resource, near_ceiling
from scoring.measures import came_whole
from scoring.packages import Needed
from scoring.scorecard import CandidateRow, PassK, RunRow
from scoring.statistics import clustered_se, design_effect, naive_se, pass_at_k, pass_hat_k
from trajectory.runs import Candidate

MAX_K = 8
"""pass^k is shown up to this k."""


def summarize(
    candidate: Candidate, rows: Sequence[RunRow], weights: Weights, needed: Needed, *, is_reference: bool
) -> CandidateRow:
    """`rows` are the runs of this candidate, all with the fingerprint of the bake-off."""
    scored = [row for row in rows if row.counting == "scored"]
    counted = [row for row in rows if row.is_ranked]
    flags, tasks = [float(row.passed) for row in scored], [row.task for row in scored]
    naive, clustered = naive_se(flags), clustered_se(flags, tasks)
    inputs = _inputs(scored, counted, weights)
    passed = sum(row.passed for row in rows)
    excluded = sum(row.counting == "excluded" for row in rows)
    unknown_runs = len(rows) - excluded - len(scored)
    return CandidateRow(
        candidate=candidate,
        is_reference=is_reference,
        runs=len(rows),
        tasks=len({row.task for row in rows}),
        passed=passed,
        failed=len(scored) - passed,
        excluded=excluded,
        unknown_runs=unknown_runs,
        success=inputs.success_rate.estimate,
        success_all_counted=rate([row.passed for row in rows], [row.task for row in rows]),
        success_bounds=(passed / len(rows), (passed + excluded + unknown_runs) / len(rows)) if rows else None,
        naive_error=naive,
        standard_error=clustered,
        design_effect=design_effect(naive, clustered),
        pass_k=_pass_k(scored),
        mean_peak_memory_mb=inputs.mean_peak_memory_mb.estimate,
        mean_tool_calls=inputs.mean_tool_calls.estimate,
        mean_retries=_mean_of_known(counted, lambda row: row.measures.retries),
        mean_failed_attempts=_mean_of_known(counted, lambda row: row.measures.failed_attempts),
        mean_input_tokens=_mean_of_known(counted, lambda row: row.measures.input_tokens),
        mean_output_tokens=_mean_of_known(counted, lambda row: row.measures.output_tokens),
        mean_ttft_s=_ttft(counted),
        mean_model_call_s=_mean_of_known(counted, lambda row: row.measures.model_call_s),
        mean_duration_s=_mean_of_known(counted, lambda row: row.duration_s),
        oom_rate=inputs.oom_rate.estimate,
        timeout_rate=inputs.timeout_rate.estimate,
        near_ceiling=inputs.near_ceiling.estimate,
        efficiency=estimate_efficiency(inputs),
        score=estimate_score(inputs, weights),
        operations=sum(row.measures.operations or 0 for row in rows),
        attempts=sum(row.measures.attempts or 0 for row in rows),
        faults=_counted(row.fault.name for row in rows if row.fault),
        violations=_added(row.measures.refusals for row in rows),
        fidelity={footing: total for footing in FOOTINGS if (total := _results(rows, footing))},
        shares=_shares(rows),
        conduct=pool_conduct([(row.task, row.conduct) for row in counted], needed),
        runs_without_memory=tuple(row.run for row in counted if row.measures.peak_memory_mb is None),
    )


def success_and_score(rows: Sequence[RunRow], weights: Weights) -> tuple[Estimate, Estimate]:
    """Of a part of a candidate's runs, as `summarize` estimates them of all."""
    scored = [row for row in rows if row.counting == "scored"]
    inputs = _inputs(scored, [row for row in rows if row.is_ranked], weights)
    return inputs.success_rate.estimate, estimate_score(inputs, weights)


def _inputs(scored: Sequence[RunRow], counted: Sequence[RunRow], weights: Weights) -> Inputs:
    scored_tasks, tasks = [row.task for row in scored], [row.task for row in counted]
    passed = [row.passed for row in scored]
    return Inputs(
        success_rate=Input(rate(passed, scored_tasks), [float(p) for p in passed], scored_tasks),
        mean_peak_memory_mb=_needed(counted, lambda row: row.measures.peak_memory_mb, "peak memory"),
        mean_tool_calls=_needed(counted, lambda row: row.measures.tool_calls, "a trajectory"),
        oom_rate=_hits(counted, "memory", any(row.certificate.asked.memory_mb is not None for row in counted), tasks),
        timeout_rate=_hits(counted, "time", any(_limits_time(row) for row in counted), tasks),
        near_ceiling=_near_ceiling(counted, weights.near_ceiling_from, tasks),
    )


def _needed(rows: Sequence[RunRow], measure: Callable[[RunRow], float | None], what: str) -> Input:
    """The mean over all runs, unknown if one of them lacks the value: leaving it out would be a silent choice."""
    values, tasks = _known(rows, measure)
    if len(values) < len(rows):
        because = f"{len(rows) - len(values)} of {len(rows)} runs have no record of {what}"
        return Input(unknown(because, n=len(values)), values, tasks)
    return Input(mean(values, tasks), values, tasks)


def _hits(rows: Sequence[RunRow], resource: Resource, is_limited: bool, tasks: Sequence[str]) -> Input:
    hits = [row.limit_hit is not None and row.limit_hit.resource == resource for row in rows]
    values = [float(hit) for hit in hits]
    if rows and not is_limited and not any(hits):
        nothing = Estimate(value=0.0, n=len(rows), low=0.0, high=0.0, method="no limit was set, so none could be hit")
        return Input(nothing, values, tasks)
    return Input(rate(hits, tasks), values, tasks)


def _near_ceiling(rows: Sequence[RunRow], start: float, tasks: Sequence[str]) -> Input:
    """A run that hit the limit counts 0 here: it is among those out of memory, and is penalised as such."""
    if all(row.certificate.asked.memory_mb is None for row in rows):
        nothing = Estimate(value=0.0, n=len(rows), low=0.0, high=0.0, method="no limit was set, so none was near")
        return Input(nothing if rows else unknown("no run to count"), [0.0] * len(rows), tasks)

    def nearness(row: RunRow) -> float | None:
        if row.certificate.asked.memory_mb is None or (row.limit_hit and row.limit_hit.resource == "memory"):
            return 0.0
        return near_ceiling(row.measures.memory_share, start)

    return _needed(rows, nearness, "peak memory")


def _limits_time(row: RunRow) -> bool:
    return row.certificate.asked.cpu_s is not None or row.certificate.asked.wall_s is not None


def _mean_of_known(rows: Sequence[RunRow], measure: Callable[[RunRow], float | None]) -> Estimate:
    """The mean over the runs that have the value; n says how many."""
    return mean(*_known(rows, measure))


def _ttft(rows: Sequence[RunRow]) -> Estimate:
    found = _mean_of_known(rows, lambda row: row.measures.ttft_s)
    if found.value is None and any(came_whole(row.losses) for row in rows):
        return unknown("streams translated from another wire format arrive whole")
    return found


def _known(rows: Sequence[RunRow], measure: Callable[[RunRow], float | None]) -> tuple[list[float], list[str]]:
    known = [(float(value), row.task) for row in rows if (value := measure(row)) is not None]
    return [value for value, _ in known], [task for _, task in known]


def _pass_k(scored: Sequence[RunRow]) -> tuple[PassK, ...]:
    """Up to the largest number of scored trials that every task has, so that all k rest on the same tasks."""
    counts: defaultdict[str, list[bool]] = defaultdict(list)
    for row in scored:
        counts[row.task].append(row.passed)
    tasks = [(sum(flags), len(flags)) for flags in counts.values()]
    largest = min((n for _, n in tasks), default=0)
    return tuple(
        PassK(k=k, pass_hat_k=pass_hat_k(tasks, k), pass_at_k=pass_at_k(tasks, k), tasks=len(tasks))
        for k in range(1, min(largest, MAX_K) + 1)
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def _results(rows: Sequence[RunRow], footing: Footing) -> int:
    return sum(row.fidelity.get(footing, 0) for row in rows)


def _shares(rows: Sequence[RunRow]) -> dict[Footing, Estimate]:
    """Of all tool results; a run with more of them weighs more. Empty where there were none."""
    served = [row for row in rows if row.fidelity]
    results, tasks = [float(sum(row.fidelity.values())) for row in served], [row.task for row in served]
    return {
        footing: ratio([float(row.fidelity.get(footing, 0)) for row in served], results, tasks, most=1.0)
        for footing in FOOTINGS
        if _results(served, footing)
    }
