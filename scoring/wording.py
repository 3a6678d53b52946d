"""Every sentence that a report says of its numbers. Pure: data in, plain English out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from scoring.comparison import ALPHA, is_below_floor, is_different, is_significant
from scoring.efficiency import EFFICIENCY_FORMULA, Weights, score_formula
from scoring.estimates import Estimate
from scoring.fidelity.footing import Trust
from scoring.fidelity.model import FidelityCurve
from scoring.scorecard import Basis, CandidateRow, Formula, Pair, PairResult, Ranking
from scoring.stepwise import StepwiseRow

UNKNOWN = "unknown"
MAX_DETAILS = 4
"""Differences that are told one by one."""

BASES: dict[Basis, str] = {
    "as_scored": "with infrastructure faults excluded",
    "all_counted": "with all runs counted",
    "all_undecided_passed": "if all its undecided runs had passed",
}

TRUSTED: dict[Trust, str] = {
    "recorded": "exact or canonical",
    "pooled": "exact, canonical or pooled",
    "simulated": "exact, canonical, pooled or simulated",
    "faithful": "neither missing, written by a model nor possibly stale",
}

DEFINITIONS: dict[str, str] = {
    "success rate": "passed / (passed + failed); runs that ended in infrastructure faults or have no decided check "
    "are not in it, and are listed",
    "infrastructure": "harness, upstream, empty completion, unexplained SIGKILL, limits not applied. Running out of "
    "the granted memory is counted apart and is not excluded",
    "bounds": "the success rate if all undecided runs had failed, and if all had passed",
    "mean_peak_memory_mb": "mean over runs of the larger of the sampled process tree and the largest single process; "
    "1 MB = 1024 * 1024 bytes",
    "mean_tool_calls": "executed tool calls per run: proposed by the model and not refused; a retry is no new call",
    "oom_rate, timeout_rate": "share of runs that hit the memory limit, or a CPU or wall time limit, whether or not "
    "they passed their checks",
    "retries": "attempts beyond the first of an operation; an operation is one call as the agent meant it",
    "TTFT": "time to the first byte of the last attempt of a model call. Runs whose streams were translated from "
    "another wire format are left out: their first byte waits for the whole reply. Model call s is not affected",
    "interval of a rate": "Wilson score interval at 95 %; with several trials of a task, n is the effective size "
    "n / design effect, because trials of one task are not independent",
    "interval of a mean": "95 % t interval, standard error clustered by task (Miller 2024, with C / (C - 1))",
    "interval of the score": "the limits of its inputs combined by variance recovery (Zou 2008), with their "
    "correlation over tasks",
    "pass^k, pass@k": "mean over tasks of C(c, k) / C(n, k), and of 1 - C(n - c, k) / C(n, k); c passed of n trials",
    "difference": "claimed only where p, adjusted by Holm over all pairs, is below 0.05 both with infrastructure "
    "faults excluded and with all runs counted, and where the difference is not below the noise floor",
    "noise floor": "difference that two sets of runs of one and the same model stay below in 19 of 20 cases, from the "
    "scatter of trials within tasks; unknown where no task was tried twice",
    "share of a fidelity": "tool results of this class / all tool results of all runs; error by linearisation, "
    "clustered by task. Stale: served after a write that it may conflict with, however it was found",
    "by share of tool results": "success and score over the runs with at least this share of trusted tool results; a "
    "run without any counts at each. Unknown below 5 scored runs. Nothing is extrapolated beyond what runs reached",
    "slope": "points of success rate for 10 points more of the share, between runs of one task: least squares with an "
    "intercept for each task, error clustered by task (Arellano 1987). A run that goes astray asks what nobody "
    "recorded: share and success go together, which does not say that one makes the other",
    "same action": "share of recorded steps where the candidate, given the recorded context, calls the same tools with "
    "the same arguments (as JSON, in any order), or writes text where the recording has text; clustered by task",
    "p": "exact two-sided McNemar on discordant tasks (one run per task), else paired t over task means",
}


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def number(value: float | None, digits: int = 2) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def p_text(p: float | None) -> str:
    if p is None:
        return UNKNOWN
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def interval_text(estimate: Estimate, digits: int = 2, *, as_percent: bool = False) -> str:
    """Such as `[51.0, 88.2]`; empty where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    scale, digits = (100, 1) if as_percent else (1, digits)
    return f"[{scale * estimate.low:.{digits}f}, {scale * estimate.high:.{digits}f}]"


def footnote(estimate: Estimate) -> str:
    """What stands behind a number: n, interval, method; or why it is unknown."""
    if estimate.value is None:
        return f"unknown: {estimate.unknown_because}"
    interval = interval_text(estimate, 4)
    return f"n = {estimate.n}; {interval + '; ' if interval else 'no interval; '}{estimate.method}"


def ordinal(n: int) -> str:
    suffix = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"


def count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def conclusions(
    rows: Sequence[CandidateRow], pairs: Sequence[Pair], flips: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    """What can and cannot be concluded about success; the first sentence is the headline."""
    known = [row for row in rows if row.success.value is not None]
    if not known:
        return ("No run could be scored, so nothing can be concluded.",)
    if len(rows) == 1:
        row = rows[0]
        return (
            f"{row.candidate.name} passed {row.passed} of {row.success.n} scored runs: {_rate(row)}.",
            "With one candidate there is nothing to compare it with.",
        )
    different = [pair for pair in pairs if is_different(pair)]
    withheld = [pair for pair in pairs if is_significant(pair) and is_below_floor(pair)]
    sentences = _differences(different)
    if not different:
        sentences.extend(_no_difference(pairs, withheld))
    elif len(different) < len(pairs):
        sentences.append(f"The other {count(len(pairs) - len(different), 'pair')} cannot be told apart on these tasks.")
    sentences.extend(map(_withheld, withheld[:MAX_DETAILS]))
    sentences.append(_lead(known, {name for pair in flips for name in pair}))
    return tuple(sentences)


def stepwise_conclusions(rows: Sequence[StepwiseRow]) -> tuple[str, ...]:
    """Of runs in which each step began from the recorded context: nobody went a way of its own to the end."""
    said = [
        f"Of {row.candidate} no step can be compared: {row.unknown_steps} of {row.steps} have no answer on one side."
        if row.agreement.value is None
        else f"{row.candidate} takes the recorded action in {percent(row.agreement.value)} "
        f"{interval_text(row.agreement, as_percent=True)} of {row.agreement.n} steps."
        for row in sorted(rows, key=lambda row: -(row.agreement.value or 0.0))
    ]
    return (*said, "Agreement is with the recording, step by step: it does not say whether a task would be done.")


def flip_text(mover: CandidateRow, rankings: Sequence[Ranking]) -> str:
    """One candidate whose place depends on how its undecided runs are counted."""
    name, total = mover.candidate.name, len(rankings[0].places)
    places = [(ranking.basis, place) for ranking in rankings for place in ranking.places if place.candidate == name]
    ranks = [
        f"{ordinal(place.rank)} of {total} {BASES[basis]} ({percent(place.rate)}, {place.passed} of {place.runs})"
        for basis, place in places
    ]
    undecided = mover.excluded + mover.unknown_runs
    faults = ", ".join(f"{n} {fault}" for fault, n in mover.faults.items() if fault.startswith("infra."))
    why = count(undecided, "undecided run") + (f" ({faults})" if faults else "")
    return f"The ranking flips on how {why} of {name} are counted: it is {_listed(ranks)}."


def fidelity_flip_text(ahead: FidelityCurve, behind: FidelityCurve, at_least: float) -> str:
    """Two candidates whose order depends on how much of a run must rest on trusted tool results."""

    def told(curve: FidelityCurve, share: float) -> str:
        point = curve.at(share)
        return f"{percent(point.success.value)}, {point.passed} of {point.scored}"

    return (
        f"The ranking flips on what the tool results rest on: {ahead.candidate} ({told(ahead, 0.0)}) is ahead of "
        f"{behind.candidate} ({told(behind, 0.0)}) over all runs, and behind it ({told(ahead, at_least)}, against "
        f"{told(behind, at_least)}) where at least {100 * at_least:g} % of a run's tool results are "
        f"{TRUSTED[ahead.trust]}."
    )


def rests_on_faults_text(pair: Pair) -> str:
    return (
        f"Whether {pair.a} and {pair.b} differ rests on how infrastructure faults are counted: "
        f"{_discordant(pair.all_counted)} with all runs counted; {_discordant(pair.as_scored)} on the tasks where "
        "neither had such a fault (p before correction)."
    )


def formulas(rows: Sequence[CandidateRow], weights: Weights) -> tuple[Formula, ...]:
    made = []
    for row in rows:
        success, memory, calls = row.success.value, row.mean_peak_memory_mb.value, row.mean_tool_calls.value
        made.append(
            Formula(
                name="efficiency",
                formula=EFFICIENCY_FORMULA,
                candidate=row.candidate.name,
                with_values=f"{number(row.efficiency.value, 4)} = {number(success, 4)} / "
                f"(1 + {number(memory, 2)} / 1024 + 0.1 * {number(calls, 2)})",
            )
        )
        made.append(
            Formula(
                name="score",
                formula=score_formula(weights),
                candidate=row.candidate.name,
                with_values=f"{number(row.score.value, 4)} = {weights.success_weight:g} * {number(success, 4)} + "
                f"{weights.efficiency_weight:g} * {number(row.efficiency.value, 4)} - "
                f"{weights.penalty_oom:g} * {number(row.oom_rate.value, 4)} - "
                f"{weights.penalty_timeout:g} * {number(row.timeout_rate.value, 4)}{_near_ceiling(row, weights)}",
            )
        )
    return tuple(made)


def _near_ceiling(row: CandidateRow, weights: Weights) -> str:
    if not weights.penalty_near_ceiling:
        return ""
    return f" - {weights.penalty_near_ceiling:g} * {number(row.near_ceiling.value, 4)}"


def _differences(pairs: Sequence[Pair]) -> list[str]:
    """Who passes more than whom, one sentence for each that leads; then the numbers, if they are few."""
    led: defaultdict[str, list[str]] = defaultdict(list)
    details = []
    for pair in pairs:
        result = pair.as_scored
        first, second = (pair.a, pair.b) if result.passed_a > result.passed_b else (pair.b, pair.a)
        led[first].append(second)
        details.append(
            f"{pair.a} against {pair.b}: {100 * (result.difference.value or 0.0):+.1f} points, {_discordant(result)} "
            f"({p_text(result.p_holm)} after Holm)."
        )
    leaders = sorted(led, key=lambda name: -len(led[name]))
    sentences = [f"{name} passes more tasks than {_listed(led[name])}." for name in leaders]
    return sentences + (details if len(details) <= MAX_DETAILS else ["The table of pairs has the numbers."])


def _withheld(pair: Pair) -> str:
    result = max((pair.as_scored, pair.all_counted), key=lambda result: result.noise_floor or 0.0)
    return (
        f"{pair.a} against {pair.b} is not called a difference: {100 * (result.difference.value or 0.0):+.1f} points "
        f"is less than the noise floor, {100 * (result.noise_floor or 0.0):.1f} points, within which two sets of runs "
        "of one and the same model differ."
    )


def _no_difference(pairs: Sequence[Pair], withheld: Sequence[Pair]) -> tuple[str, ...]:
    scored, counted = [pair.as_scored for pair in pairs], [pair.all_counted for pair in pairs]
    smallest = [
        min((p for result in results if (p := getattr(result, which)) is not None), default=None)
        for which in ("p_value", "p_holm")
        for results in (counted, scored)
    ]
    if smallest[0] is None:
        return ("No pair of candidates has enough common tasks to be compared.",)
    if withheld:
        said = f"No difference in success is both significant at the {ALPHA} level and above the noise floor"
    elif any(p is not None and p < ALPHA for p in smallest[2:]):
        said = f"No difference in success holds at the {ALPHA} level both with and without infrastructure faults"
    elif len(pairs) == 1:
        said = f"The two candidates do not differ in success at the {ALPHA} level"
    else:
        said = f"None of the {len(pairs)} pairs differs in success at the {ALPHA} level"
    return (
        f"{said}: these runs do not say which one is better.",
        f"Smallest p {p_text(smallest[0])} with all runs counted ({p_text(smallest[2])} after Holm), "
        f"{p_text(smallest[1])} with infrastructure faults excluded ({p_text(smallest[3])} after Holm).",
    )


def _lead(rows: Sequence[CandidateRow], flipping: Collection[str]) -> str:
    if all(row.score.value is not None for row in rows):
        best = max(rows, key=lambda row: (row.score.value or 0.0, row.candidate.name))
        said = f"Highest score: {best.candidate.name}, {number(best.score.value)} {interval_text(best.score)}".rstrip()
    else:
        best = max(rows, key=lambda row: (row.success.value or 0.0, row.candidate.name))
        said = f"Highest success rate: {best.candidate.name}, {_rate(best)}"
    if best.candidate.name in flipping:
        said += "; the ranking flips when its infrastructure faults count"
    return said + "."


def _rate(row: CandidateRow) -> str:
    return f"{percent(row.success.value)} {interval_text(row.success, as_percent=True)}"


def _discordant(result: PairResult) -> str:
    return (
        f"{result.passed_a:.4g} against {result.passed_b:.4g} of {result.tasks}, discordant "
        f"{len(result.only_a)}:{len(result.only_b)}, {_p(result.p_value)}"
    )


def _p(p: float | None) -> str:
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
