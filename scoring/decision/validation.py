"""The constrained bake-off beside one without limits: do the limits, and not the model, decide?"""

from __future__ import annotations

from collections.abc import Mapping

from scoring.comparison import compare_pairs
from scoring.decision.model import Flip, Uncapped, UncappedRow
from scoring.estimates import Estimate, rate
from scoring.scorecard import RunRow, Scorecard
from scoring.statistics import holm
from scoring.wording import p_text, percent

_MAY_DIFFER = frozenset({"limits", "constraints"})
"""Parts of the fingerprint in which the limits stand."""
_ALPHA = 0.05


def beside_uncapped(card: Scorecard, uncapped: Scorecard) -> Uncapped:
    """For each candidate that both bake-offs ran. Differences are uncapped minus constrained."""
    names = [row.candidate.name for row in card.candidates if _models(uncapped).get(row.candidate.name) is not None]
    found = [_row(card, uncapped, name) for name in names]
    adjusted = holm([row.p_holm for row in found])
    rows = tuple(
        row.model_copy(update={"p_holm": p, "is_bound_by_limits": _is_bound(row, p)})
        for row, p in zip(found, adjusted, strict=True)
    )
    return Uncapped(bakeoff=uncapped.bakeoff.id, rows=rows, warnings=tuple(_warnings(card, uncapped)))


def uncapped_flip(uncapped: Uncapped, leader: str) -> Flip | None:
    """Another candidate that leads without the limits."""
    known = [row for row in uncapped.rows if row.uncapped.value is not None]
    own = next((row for row in known if row.candidate == leader), None)
    if own is None:
        return None
    best = max(known, key=lambda row: row.uncapped.value or 0.0)
    if (best.uncapped.value or 0.0) <= (own.uncapped.value or 0.0):
        return None
    text = (
        f"Without limits {best.candidate} leads ({percent(best.uncapped.value)} against "
        f"{percent(own.uncapped.value)} of {leader})."
    )
    numbers = {"uncapped": best.uncapped.value or 0.0, "uncapped_leader": own.uncapped.value or 0.0}
    return Flip(kind="uncapped", text=text, leader=best.candidate, numbers=numbers)


def uncapped_text(row: UncappedRow) -> str:
    said = f"{percent(row.constrained.value)} under the limits, {percent(row.uncapped.value)} without"
    if row.is_bound_by_limits:
        return f"{row.candidate}: {said}; the limits cost it success (p {p_text(row.p_holm)} after Holm)."
    return f"{row.candidate}: {said}; no cost of the limits is shown (p {p_text(row.p_holm)} after Holm)."


def _row(card: Scorecard, uncapped: Scorecard, name: str) -> UncappedRow:
    capped_rows = [run for run in card.runs if run.candidate == name]
    free = f"{name} without limits"
    free_rows = [run.model_copy(update={"candidate": free}) for run in uncapped.runs if run.candidate == name]
    (pair,) = compare_pairs([*capped_rows, *free_rows], [free, name])
    common = {run.task for run in capped_rows} & {run.task for run in free_rows}
    return UncappedRow(
        candidate=name,
        tasks=pair.as_scored.tasks,
        constrained=_rate(capped_rows, common),
        uncapped=_rate(free_rows, common),
        difference=pair.as_scored.difference,
        p_holm=pair.as_scored.p_value,
        is_bound_by_limits=False,
    )


def _is_bound(row: UncappedRow, p_holm: float | None) -> bool:
    return p_holm is not None and p_holm < _ALPHA and (row.difference.value or 0.0) > 0


def _rate(runs: list[RunRow], tasks: set[str]) -> Estimate:
    scored = [run for run in runs if run.counting == "scored" and run.task in tasks]
    return rate([run.passed for run in scored], [run.task for run in scored])


def _models(card: Scorecard) -> Mapping[str, str]:
    return {row.candidate.name: row.candidate.model for row in card.candidates}


def _warnings(card: Scorecard, uncapped: Scorecard) -> list[str]:
    before, after = card.bakeoff.fingerprint_parts, uncapped.bakeoff.fingerprint_parts
    differing = sorted(part for part in {*before, *after} if before.get(part) != after.get(part))
    warnings = [f"more than the limits differs: {part}" for part in differing if part not in _MAY_DIFFER]
    if not set(differing) & _MAY_DIFFER:
        warnings.append("the limits are the same in both bake-offs, so nothing is validated")
    ours, theirs = _models(card), _models(uncapped)
    warnings += [f"{name} is another model there" for name in ours if name in theirs and ours[name] != theirs[name]]
    return warnings
