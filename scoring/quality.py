"""How a run went about its task, against the reference path where there is one; and a candidate's runs pooled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Literal

from scoring.alignment import Alignment, Match, align, errors_recovered, exact_repeats
from scoring.divergence import Difference, Divergence, diverge
from scoring.estimates import Estimate, mean, rate, ratio, unknown
from scoring.paths import Path
from trajectory.runs import Frozen, ToolKind

_NO_REFERENCE = "no run has a reference path other than itself"


class RunQuality(Frozen):
    """`errors` and `recovered` count tool calls and are None where nobody says how the calls ended. `alignment` and
    `divergence` are None without a reference, and where this run is the reference.
    """

    calls: int
    repeats: int
    errors: int | None
    recovered: int | None
    alignment: Alignment | None = None
    divergence: Divergence | None = None


class MatchQuality(Frozen):
    """Over all calls of the compared runs (`actual`) and of their references. The first three are graded by arguments;
    the exact ones count calls whose arguments are equal.
    """

    actual: int
    reference: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    exact_precision: Estimate
    exact_recall: Estimate


class CandidateQuality(Frozen):
    """Means are per run. `median_call` is the call at which runs that differ first do so, `differences` how often each
    kind of first difference came; both over the compared runs.
    """

    compared: int
    every: MatchQuality | None
    reads: MatchQuality | None
    writes: MatchQuality | None
    order: Estimate
    mean_extra: Estimate
    mean_missing: Estimate
    mean_repeats: Estimate
    mean_errors: Estimate
    recovered: Estimate
    same_path: Estimate
    distance: Estimate
    median_call: float | None
    differences: dict[Difference, int]


def assess(path: Path, reference: Path | None, kinds: Mapping[str, ToolKind]) -> RunQuality:
    ends = errors_recovered(path.calls)
    compared = reference is not None and not (path.trajectory and path.trajectory == reference.trajectory)
    return RunQuality(
        calls=len(path.calls),
        repeats=exact_repeats(path.calls),
        errors=None if ends is None else ends[0],
        recovered=None if ends is None else ends[1],
        alignment=align(path.calls, reference.calls, kinds) if reference and compared else None,
        divergence=diverge(path, reference) if reference and compared else None,
    )


def pool_quality(runs: Sequence[tuple[str, RunQuality]]) -> CandidateQuality:
    """`runs` are (task, quality) of the runs that have a recorded trajectory."""
    aligned = [(task, run.alignment) for task, run in runs if run.alignment]
    parted = [(task, run.divergence) for task, run in runs if run.divergence]
    ended = [(task, run.errors, run.recovered or 0) for task, run in runs if run.errors is not None]
    tasks = [task for task, _ in aligned]
    calls = [one.at_call for _, one in parted if one.differs]

    def over(measure: Callable[[Alignment], float]) -> Estimate:
        return mean([measure(one) for _, one in aligned], tasks) if aligned else unknown(_NO_REFERENCE)

    return CandidateQuality(
        compared=len(aligned),
        every=_matches(aligned, "every"),
        reads=_matches(aligned, "reads"),
        writes=_matches(aligned, "writes"),
        order=over(lambda one: one.order),
        mean_extra=over(lambda one: one.every.extra),
        mean_missing=over(lambda one: one.every.missing),
        mean_repeats=mean([run.repeats for _, run in runs], [task for task, _ in runs]),
        mean_errors=mean([errors for _, errors, _ in ended], [task for task, *_ in ended])
        if ended
        else unknown("no record says how tool calls ended"),
        recovered=ratio([put for *_, put in ended], [bad for _, bad, _ in ended], [task for task, *_ in ended], most=1)
        if any(bad for _, bad, _ in ended)
        else unknown("no call is known to have failed", n=len(ended)),
        same_path=rate([one.differs is None for _, one in parted], tasks) if parted else unknown(_NO_REFERENCE),
        distance=mean([one.distance for _, one in parted], tasks) if parted else unknown(_NO_REFERENCE),
        median_call=median(calls) if calls else None,
        differences=dict(sorted(Counter(one.differs for _, one in parted if one.differs).items())),
    )


def _matches(
    aligned: Sequence[tuple[str, Alignment]], which: Literal["every", "reads", "writes"]
) -> MatchQuality | None:
    """None where no run was compared, or no tool is declared to be of that kind."""
    found: list[tuple[str, Match]] = [(task, match) for task, one in aligned if (match := getattr(one, which))]
    if not found:
        return None
    tasks = [task for task, _ in found]
    actual, reference = [m.actual for _, m in found], [m.reference for _, m in found]
    similar, exact = [m.similarity for _, m in found], [m.exact for _, m in found]
    both = [a + b for a, b in zip(actual, reference, strict=True)]
    return MatchQuality(
        actual=sum(actual),
        reference=sum(reference),
        precision=ratio(similar, actual, tasks, most=1),
        recall=ratio(similar, reference, tasks, most=1),
        f1=ratio([2 * value for value in similar], both, tasks, most=1),
        exact_precision=ratio(exact, actual, tasks, most=1),
        exact_recall=ratio(exact, reference, tasks, most=1),
    )
