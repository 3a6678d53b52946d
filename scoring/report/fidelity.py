"""What tool results rest on, and success and score by how much of a run does, as tables."""

from __future__ import annotations

from collections.abc import Callable

from scoring.estimates import Estimate
from scoring.fidelity.footing import FOOTINGS, Footing
from scoring.fidelity.model import FidelityCurve, FidelityPoint
from scoring.report.tables import Cell, Table, best_first, estimate_cell, name_cell
from scoring.scorecard import CandidateRow, Scorecard
from scoring.wording import TRUSTED, ordinal

SHOWN = (0.0, 0.5, 0.8, 0.9, 1.0)
"""Thresholds that have a column; the plots and the JSON file have every tenth."""


def fidelity_tables(card: Scorecard) -> tuple[Table, ...]:
    """Empty where no world answered any call."""
    if not card.fidelity_curves:
        return ()
    trusts = dict.fromkeys(curve.trust for curve in card.fidelity_curves)
    by_trust = [[curve for curve in curves_best_first(card) if curve.trust == trust] for trust in trusts]
    has_score = any(point.score.value is not None for curve in card.fidelity_curves for point in curve.points)
    return (
        _share_table(card),
        *(_success_table(curves) for curves in by_trust),
        *(_score_table(curves) for curves in by_trust if has_score),
    )


def footings_met(card: Scorecard) -> tuple[Footing, ...]:
    return tuple(footing for footing in FOOTINGS if any(footing in row.fidelity for row in card.candidates))


def curves_best_first(card: Scorecard) -> list[FidelityCurve]:
    place = {row.candidate.name: at for at, row in enumerate(best_first(card))}
    return sorted(card.fidelity_curves, key=lambda curve: place[curve.candidate])


def _share_table(card: Scorecard) -> Table:
    met = footings_met(card)
    rows = tuple(
        (
            name_cell(row),
            Cell(str(sum(row.fidelity.values())), note=f"tool results of all {row.runs} runs"),
            *(_share_cell(row, footing) for footing in met),
        )
        for row in best_first(card)
    )
    return Table("Fidelity of tool results", ("Candidate", "Tool results", *map(str.capitalize, met)), rows)


def _share_cell(row: CandidateRow, footing: Footing) -> Cell:
    share = row.shares.get(footing)
    if share is None:
        return Cell("-", note=f"0 of {sum(row.fidelity.values())} tool results")
    cell = estimate_cell(share, 1, as_percent=True)
    return Cell(cell.text, cell.below, f"{row.fidelity[footing]} tool results; {cell.note}")


def _success_table(curves: list[FidelityCurve]) -> Table:
    said = f"Success where results are {TRUSTED[curves[0].trust]}"
    rows = tuple(
        (*_points(curve, lambda point: point.success, as_percent=True), _slope_cell(curve)) for curve in curves
    )
    return Table(said, (*_columns(), "Slope"), rows)


def _score_table(curves: list[FidelityCurve]) -> Table:
    said = f"Score where results are {TRUSTED[curves[0].trust]}"
    rows = tuple(_points(curve, lambda point: point.score, as_percent=False) for curve in curves)
    return Table(said, _columns(), rows)


def _columns() -> tuple[str, ...]:
    return ("Candidate", "All runs", *(f"{100 * at_least:g} % or more" for at_least in SHOWN[1:-1]), "100 %")


def _points(
    curve: FidelityCurve, measure: Callable[[FidelityPoint], Estimate], *, as_percent: bool
) -> tuple[Cell, ...]:
    return (Cell(curve.candidate), *(_point_cell(curve.at(at), measure, as_percent=as_percent) for at in SHOWN))


def _point_cell(point: FidelityPoint, measure: Callable[[FidelityPoint], Estimate], *, as_percent: bool) -> Cell:
    cell = estimate_cell(measure(point), 3, as_percent=as_percent)
    place = f", {ordinal(point.rank)}" if as_percent and point.rank else ""
    below = "\n".join(line for line in (f"n = {point.scored}{place}", cell.below) if line)
    return Cell(cell.text, below, f"{point.passed} passed of {point.scored} scored, {point.runs} runs; {cell.note}")


def _slope_cell(curve: FidelityCurve) -> Cell:
    """In points of success for 10 points of share: a unit of it would be all against nothing."""
    slope = curve.slope
    if slope.value is None:
        return estimate_cell(slope, 1)
    low, high = slope.low, slope.high
    interval = f"[{10 * low:+.1f}, {10 * high:+.1f}]" if low is not None and high is not None else ""
    note = f"points of success for 10 points more of the share; n = {slope.n}; {slope.method}"
    return Cell(f"{10 * slope.value:+.1f}", interval, note)
