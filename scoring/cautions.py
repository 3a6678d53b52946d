"""What a reader must know before quoting a number."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from scoring.comparison import ALPHA, flipped
from scoring.fidelity.curves import fidelity_flips
from scoring.fidelity.model import FidelityCurve
from scoring.scorecard import CandidateRow, Caution, Pair, Ranking, RefusedRun, RunRow
from scoring.wording import count, fidelity_flip_text, flip_text, percent, rests_on_faults_text
from trajectory.runs import Bakeoff

URGENT = frozenset(
    {
        "ranking_flip",
        "fidelity_flip",
        "difference_rests_on_faults",
        "fingerprint_differs",
        "runs_missing",
        "stopped_early",
    }
)
"""What stands before any number."""
MOST_QUOTED = 200
"""Characters of a run's evidence in a caution; the report has the whole."""


def find_cautions(
    bakeoff: Bakeoff,
    *,
    candidates: Sequence[CandidateRow],
    rows: Sequence[RunRow],
    rankings: Sequence[Ranking],
    pairs: Sequence[Pair],
    curves: Sequence[FidelityCurve],
    refused: Sequence[RefusedRun],
) -> tuple[Caution, ...]:
    found = [*_flips(candidates, rankings), *_fidelity_flips(curves), *_rests_on_faults(pairs)]
    found.extend(_fingerprints(bakeoff, refused))
    found.extend(_stopped(bakeoff))
    found.extend(_left_out(bakeoff))
    tasks = {row.task for row in rows} if bakeoff.stopped else bakeoff.tasks
    planned = len(tasks) * bakeoff.trials
    for row in candidates:
        # recorded production was not planned: there is what there is, at best one recording of each task
        expected = len(tasks) if row.candidate.name == bakeoff.reference else planned
        found.extend(_of_candidate(row, [r for r in rows if r.candidate == row.candidate.name], expected))
    return (*found, *_memory_unknown(candidates), *_trajectory_missing(candidates, rows))


def _flips(candidates: Sequence[CandidateRow], rankings: Sequence[Ranking]) -> list[Caution]:
    """Of a flipped pair only those move that have undecided runs; the rest keep their rate."""
    flips = flipped(rankings)
    involved = {name for pair in flips for name in pair}
    cautions = []
    for row in candidates:
        name = row.candidate.name
        if name not in involved or not row.excluded + row.unknown_runs:
            continue
        others = tuple(sorted({other for pair in flips if name in pair for other in pair} - {name}))
        numbers = {
            f"{ranking.basis}.{measure}": float(getattr(place, measure))
            for ranking in rankings
            for place in ranking.places
            if place.candidate == name
            for measure in ("rank", "rate", "passed", "runs")
        }
        text = f"{flip_text(row, rankings)} It passes or is passed by {', '.join(others)}."
        cautions.append(Caution(kind="ranking_flip", text=text, candidates=(name, *others), numbers=numbers))
    return cautions


def _fidelity_flips(curves: Sequence[FidelityCurve]) -> list[Caution]:
    """One for all, told of the pair that stands highest: thresholds are many, and where one turns others do."""
    by_key = {(curve.candidate, curve.trust): curve for curve in curves}
    flips = sorted(fidelity_flips(curves), key=lambda flip: by_key[flip.ahead, flip.trust].points[0].rank or 0)
    if not flips:
        return []
    first = flips[0]
    ahead, behind = by_key[first.ahead, first.trust], by_key[first.behind, first.trust]
    numbers = {"at_least": first.at_least, "pairs": float(len(flips))} | {
        f"{curve.candidate}.{at_least:g}.{measure}": float(getattr(curve.at(at_least), measure))
        for curve in (ahead, behind)
        for at_least in (0.0, first.at_least)
        for measure in ("passed", "scored")
    }
    others = f" So does that of {count(len(flips) - 1, 'other pair')}." if len(flips) > 1 else ""
    text = fidelity_flip_text(ahead, behind, first.at_least) + others
    names = tuple(dict.fromkeys(name for flip in flips for name in (flip.ahead, flip.behind)))
    return [Caution(kind="fidelity_flip", text=text, candidates=names, numbers=numbers)]


def _rests_on_faults(pairs: Sequence[Pair]) -> list[Caution]:
    return [
        Caution(
            kind="difference_rests_on_faults",
            text=rests_on_faults_text(pair),
            candidates=(pair.a, pair.b),
            numbers={"p_all_counted": pair.all_counted.p_value, "p_as_scored": pair.as_scored.p_value},
        )
        for pair in pairs
        if pair.all_counted.p_value is not None
        and pair.as_scored.p_value is not None
        and (pair.all_counted.p_value < ALPHA) != (pair.as_scored.p_value < ALPHA)
    ]


def _fingerprints(bakeoff: Bakeoff, refused: Sequence[RefusedRun]) -> list[Caution]:
    if not refused:
        return []
    names = tuple(sorted({run.candidate for run in refused}))
    text = (
        f"{count(len(refused), 'run')} of {', '.join(names)} left out: the fingerprint differs from the bake-off's "
        f"({bakeoff.fingerprint}), so more than the model differed."
    )
    return [Caution(kind="fingerprint_differs", text=text, candidates=names, numbers={"runs": float(len(refused))})]


def _stopped(bakeoff: Bakeoff) -> list[Caution]:
    if not bakeoff.stopped:
        return []
    text = (
        f"The bake-off ended before all its runs were made: {bakeoff.stopped}. Other p values and intervals are those "
        "of a single look, and too sure of themselves here."
    )
    return [Caution(kind="stopped_early", text=text)]


def _left_out(bakeoff: Bakeoff) -> list[Caution]:
    if not bakeoff.left_out:
        return []
    asked = len(bakeoff.left_out) + len(bakeoff.tasks)
    reasons = list(bakeoff.left_out.values())
    more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    text = f"{len(reasons)} of {count(asked, 'task')} left out: {'; '.join(reasons[:5])}{more}."
    return [Caution(kind="tasks_left_out", text=text, numbers={"tasks": float(len(reasons))})]


def _for_example(rows: Sequence[RunRow]) -> str:
    """The first evidence: where a whole candidate could not be reached, it says why."""
    excluded = [row.fault for row in rows if row.counting == "excluded" and row.fault is not None]
    said = next((fault.evidence[0].what for fault in excluded if fault.evidence), "")
    return f", for example: {textwrap.shorten(said, MOST_QUOTED)}" if said else ""


def _of_candidate(row: CandidateRow, rows: Sequence[RunRow], expected: int) -> list[Caution]:
    found: list[Caution] = []

    def add(kind: str, number: int, text: str) -> None:
        if number > 0:
            found.append(
                Caution.model_validate(
                    {
                        "kind": kind,
                        "text": f"{row.candidate.name}: {text}",
                        "candidates": (row.candidate.name,),
                        "numbers": {"runs": float(number)},
                    }
                )
            )

    short = sum(r.counting == "unknown" and r.outcome.is_below_min_fidelity for r in rows)
    missing, excluded, unknown = expected - row.runs, row.excluded, row.unknown_runs - short
    faults = ", ".join(f"{n} {name}" for name, n in row.faults.items() if name.startswith("infra."))
    add("runs_missing", missing, f"{missing} of {count(expected, 'planned run')} missing.")
    bounds = " to ".join(percent(bound) for bound in row.success_bounds or ())
    add(
        "infra_excluded",
        excluded,
        f"{count(excluded, 'run')} of {row.runs} not in the success rate, being infrastructure ({faults}"
        f"{_for_example(rows)}); counted either way it lies within {bounds}.",
    )
    add("unknown_outcomes", unknown, f"{count(unknown, 'run')} of {row.runs} without a decided check.")
    add(
        "below_min_fidelity",
        short,
        f"{count(short, 'run')} of {row.runs} not ranked: too many tool results missing or possibly stale.",
    )
    gone = row.fidelity.get("missing", 0)
    served = sum(row.fidelity.values())
    add("tool_results_missing", gone, f"{gone} of {count(served, 'tool result')} not answered by the world.")
    written = row.fidelity.get("written", 0)
    add(
        "tool_results_written",
        written,
        f"{written} of {count(served, 'tool result')} made up by a model: its success says nothing sure of production.",
    )
    for said, allowed in (("allowed", True), ("denied", False)):
        others = sum(r.approvals.unmatched for r in rows if r.approvals and r.approvals.unmatched_allowed == allowed)
        add(
            "approvals_unmatched",
            others,
            f"{count(others, 'call')} that had to wait for a person had no decision in the recorded run: {said}, by "
            "nobody who saw it.",
        )
    delegating = sum(bool(r.sub_agents) for r in rows)
    add(
        "sub_agents",
        delegating,
        f"{count(delegating, 'run')} of {row.runs} had sub-agents: calls, tokens and cost count them, the path is that "
        "of the main agent alone.",
    )
    over = [r for r in rows if r.passed and r.limit_hit]
    add(
        "passed_over_limit",
        len(over),
        f"{count(len(over), 'run')} passed the checks although a limit was hit ({', '.join(r.run for r in over[:5])}"
        f"{', …' if len(over) > 5 else ''}): counted as passed, and penalised.",
    )
    return found


def _memory_unknown(candidates: Sequence[CandidateRow]) -> list[Caution]:
    lacking = {row.candidate.name: len(row.runs_without_memory) for row in candidates if row.runs_without_memory}
    return _gathered("memory_unknown", lacking, "Efficiency and score are unknown: no record of peak memory for")


def _trajectory_missing(candidates: Sequence[CandidateRow], rows: Sequence[RunRow]) -> list[Caution]:
    lost = Counter(row.candidate for row in rows if row.measures.operations is None)
    missing = {row.candidate.name: n for row in candidates if (n := lost[row.candidate.name])}
    return _gathered("trajectory_missing", missing, "No recorded trajectory for")


def _gathered(kind: Literal["memory_unknown", "trajectory_missing"], runs: dict[str, int], said: str) -> list[Caution]:
    """One caution for what most often concerns all candidates alike."""
    if not runs:
        return []
    text = f"{said} {', '.join(f'{count(n, "run")} of {name}' for name, n in runs.items())}."
    return [Caution(kind=kind, text=text, candidates=tuple(runs), numbers={name: float(n) for name, n in runs.items()})]
