"""The tables that a person needs first: who passed how often, and which differences are shown."""

from __future__ import annotations

from scoring.comparison import is_below_floor, is_different
from scoring.estimates import Estimate
from scoring.report.tables import Cell, Table, best_first, estimate_cell
from scoring.scorecard import CandidateRow, Pair, Scorecard
from scoring.wording import UNKNOWN, interval_text, p_text

MAX_PAIRS = 6
MAX_FAULTS = 3


def brief_outcome_table(card: Scorecard) -> Table:
    columns = ("Candidate", "Success", "Score", "Passed", "Faults")
    return Table("Outcome", columns, tuple(map(_outcome_row, best_first(card))))


def brief_pair_table(card: Scorecard) -> Table | None:
    """Those with the smallest p first; None with a single candidate."""
    if not card.pairs:
        return None
    pairs = sorted(card.pairs, key=_clearest)
    rows = tuple(map(_pair_row, pairs[:MAX_PAIRS]))
    title = "Differences" if len(rows) == len(pairs) else f"Differences, {len(rows)} of {len(pairs)}"
    return Table(title, ("Pair", "Points", "Only one passed", "p Holm", "Differs"), rows)


def _outcome_row(row: CandidateRow) -> tuple[Cell, ...]:
    scored = row.passed + row.failed
    return (
        Cell(f"{row.candidate.name} (recorded)" if row.is_reference else row.candidate.name),
        _in_line(estimate_cell(row.success, 1, as_percent=True)),
        _in_line(estimate_cell(row.score, 2)),
        Cell(f"{row.passed} / {scored}" + (f" (of {row.runs})" if scored < row.runs else "")),
        Cell(_faults(row)),
    )


def _in_line(cell: Cell) -> Cell:
    return Cell(f"{cell.text} {cell.below}".rstrip())


def _faults(row: CandidateRow) -> str:
    commonest = sorted(row.faults.items(), key=lambda item: -item[1])
    more = [f"{len(commonest) - MAX_FAULTS} more"] if len(commonest) > MAX_FAULTS else []
    return "\n".join([*(f"{name} {n}" for name, n in commonest[:MAX_FAULTS]), *more]) or "-"


def _clearest(pair: Pair) -> tuple[float, float]:
    p, gap = pair.as_scored.p_value, pair.as_scored.difference.value
    return 1.0 if p is None else p, -abs(gap or 0.0)


def _pair_row(pair: Pair) -> tuple[Cell, ...]:
    """The better one first."""
    result, names = pair.as_scored, (pair.a, pair.b)
    gap, only = result.difference, (len(result.only_a), len(result.only_b))
    if (gap.value or 0.0) < 0:
        names, only, gap = names[::-1], only[::-1], _reversed(gap)
    points = UNKNOWN if gap.value is None else f"{100 * gap.value:+.1f}"
    return (
        Cell(names[0], f": {names[1]}"),
        _in_line(Cell(points, interval_text(gap, as_percent=True))),
        Cell(f"{only[0]} : {only[1]} of {result.tasks}"),
        Cell(p_text(result.p_holm)),
        Cell(_verdict(pair)),
    )


def _reversed(gap: Estimate) -> Estimate:
    low, high = (None if bound is None else -bound for bound in (gap.high, gap.low))
    return gap.model_copy(update={"value": -(gap.value or 0.0), "low": low, "high": high})


def _verdict(pair: Pair) -> str:
    if is_different(pair):
        return "yes"
    return "noise" if is_below_floor(pair) else "not shown"
