"""How runs went about their tasks, as tables: path against the reference, context, attempts, cost, packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scoring.estimates import Estimate
from scoring.quality import MatchQuality
from scoring.report.tables import Cell, Table, best_first, count_table, estimate_cell, name_cell
from scoring.scorecard import CandidateRow, RunRow, Scorecard
from scoring.wording import UNKNOWN
from trajectory.prices import prices_version

MAX_SHOWN = 24
"""First divergences that are told side by side; the JSON file has all."""
MAX_NAMES = 6
"""Packages that are named, of each candidate."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Where one run parted from the reference path. `heading` says which run, `what` how they differ."""

    heading: str
    outcome: str
    what: str
    before: str
    here: str
    there: str


def quality_tables(card: Scorecard) -> tuple[Table, ...]:
    """Those that have anything to say."""
    return (*path_tables(card), *context_tables(card), *retry_tables(card), *resource_tables(card))


def path_tables(card: Scorecard) -> tuple[Table, ...]:
    rows = best_first(card)
    compared = any(row.conduct.quality.compared for row in rows)
    return _present(_agreement(rows) if compared else None, _by_kind(rows), _path(rows) if _is_recorded(rows) else None)


def context_tables(card: Scorecard) -> tuple[Table, ...]:
    rows = best_first(card)
    return (_context(rows),) if _is_recorded(rows) else ()


def retry_tables(card: Scorecard) -> tuple[Table, ...]:
    rows = best_first(card)
    met = [(row, row.conduct.retrying.patterns) for row in rows]
    return _present(
        _retries(rows) if _is_recorded(rows) else None,
        count_table("Errors met, attempt by attempt", "operations", met),
    )


def resource_tables(card: Scorecard) -> tuple[Table, ...]:
    rows = best_first(card)
    unneeded = [(row, _unneeded(row)) for row in rows]
    return _present(_resources(rows), count_table("Packages not needed", "runs with it", unneeded))


def side_by_side(card: Scorecard) -> tuple[SideBySide, ...]:
    """Runs that did not pass first, then those that part earliest; one for each candidate and task."""
    parted: dict[tuple[str, str], RunRow] = {}
    for row in card.runs:
        quality = row.conduct.quality
        if quality and quality.divergence and quality.divergence.differs:
            key = row.candidate, row.task
            if key not in parted or (parted[key].passed and not row.passed):
                parted[key] = row
    chosen = sorted(parted.values(), key=_first_told)[:MAX_SHOWN]
    return tuple(_told(row) for row in chosen)


def _is_recorded(rows: Sequence[CandidateRow]) -> bool:
    return any(row.operations for row in rows)


def _present(*tables: Table | None) -> tuple[Table, ...]:
    return tuple(table for table in tables if table is not None)


def _first_told(row: RunRow) -> tuple[bool, int, str, str]:
    quality = row.conduct.quality
    at_call = quality.divergence.at_call if quality and quality.divergence else 0
    return row.passed, at_call, row.task, row.candidate


def _told(row: RunRow) -> SideBySide:
    assert row.conduct.quality is not None
    parting = row.conduct.quality.divergence
    assert parting is not None
    names = f": {', '.join(parting.arguments)}" if parting.arguments else ""
    what = {
        "tool": "another tool",
        "arguments": f"other arguments{names}",
        "ended": "one of them ended here",
        "text": "the same calls, other last words",
        None: "",
    }[parting.differs]
    return SideBySide(
        heading=f"{row.candidate}, {row.task}, trial {row.trial}",
        outcome=row.outcome.label,
        what=f"call {parting.at_call}: {what}; distance {parting.distance:.2f}",
        before=parting.before,
        here=parting.here,
        there=parting.there,
    )


def _agreement(rows: Sequence[CandidateRow]) -> Table:
    columns = (
        *("Candidate", "Runs compared", "Precision", "Recall", "F1", "Exact precision", "Exact recall", "Order"),
        *("Extra calls", "Missing calls"),
    )
    return Table("Tool calls against the reference path", columns, tuple(map(_agreement_row, rows)))


def _agreement_row(row: CandidateRow) -> tuple[Cell, ...]:
    quality = row.conduct.quality
    every = quality.every
    return (
        name_cell(row),
        Cell(str(quality.compared), _calls(every), "runs with a reference path other than themselves"),
        _share(every, lambda match: match.precision),
        _share(every, lambda match: match.recall),
        _share(every, lambda match: match.f1),
        _share(every, lambda match: match.exact_precision),
        _share(every, lambda match: match.exact_recall),
        estimate_cell(quality.order, 3),
        estimate_cell(quality.mean_extra, 2),
        estimate_cell(quality.mean_missing, 2),
    )


def _by_kind(rows: Sequence[CandidateRow]) -> Table | None:
    """None where the bake-off declares no tool as reading or writing."""
    if not any(row.conduct.quality.reads or row.conduct.quality.writes for row in rows):
        return None
    measures = ("calls", "precision", "recall", "F1")
    columns = ("Candidate", *(f"{kind} {measure}" for kind in ("Read", "Write") for measure in measures))
    made = tuple(
        (name_cell(row), *(cell for kind in ("reads", "writes") for cell in _kind_cells(row, kind))) for row in rows
    )
    return Table("Reads and writes apart", columns, made)


def _kind_cells(row: CandidateRow, kind: str) -> tuple[Cell, ...]:
    match: MatchQuality | None = getattr(row.conduct.quality, kind)
    return (
        Cell(_calls(match).removesuffix(" calls") or UNKNOWN, note=f"{kind} of the runs : of the reference"),
        _share(match, lambda match: match.precision),
        _share(match, lambda match: match.recall),
        _share(match, lambda match: match.f1),
    )


def _calls(match: MatchQuality | None) -> str:
    return f"{match.actual} : {match.reference} calls" if match else ""


def _share(match: MatchQuality | None, measure: Callable[[MatchQuality], Estimate]) -> Cell:
    if match is None:
        return Cell(UNKNOWN, note="unknown: no run to compare, or no tool is declared to be of this kind")
    return estimate_cell(measure(match), 3)


def _path(rows: Sequence[CandidateRow]) -> Table:
    columns = (
        *("Candidate", "Same path", "Distance", "First difference", "By tool", "By arguments", "By ending", "By text"),
        *("Exact repeats", "Failed calls", "Put right"),
    )
    return Table("Where runs part from the reference, and what went wrong", columns, tuple(map(_path_row, rows)))


def _path_row(row: CandidateRow) -> tuple[Cell, ...]:
    quality = row.conduct.quality
    if quality.median_call is None:
        first = Cell(UNKNOWN if not quality.compared else "none", note=f"n = {quality.compared} compared runs")
    else:
        parted = sum(quality.differences.values())
        first = Cell(f"call {quality.median_call:g}", "median", f"n = {parted} runs that differ; median, no interval")
    return (
        name_cell(row),
        estimate_cell(quality.same_path, 1, as_percent=True),
        estimate_cell(quality.distance, 3),
        first,
        *(
            Cell(str(quality.differences.get(kind, 0)) if quality.compared else UNKNOWN, note="runs, first difference")
            for kind in ("tool", "arguments", "ended", "text")
        ),
        estimate_cell(quality.mean_repeats, 2),
        estimate_cell(quality.mean_errors, 2),
        estimate_cell(quality.recovered, 1, as_percent=True),
    )


def _context(rows: Sequence[CandidateRow]) -> Table:
    columns = (
        "Candidate",
        "Largest prompt, tokens",
        "Growth, tokens a step",
        "Cached, of tokens",
        "Sent before, of characters",
        "Tool results, of characters",
    )
    return Table(
        "Context",
        columns,
        tuple(
            (
                name_cell(row),
                estimate_cell(row.conduct.context.mean_largest, 0),
                estimate_cell(row.conduct.context.growth_per_step, 1),
                estimate_cell(row.conduct.context.cached_share, 1, as_percent=True),
                estimate_cell(row.conduct.context.resent_share, 1, as_percent=True),
                estimate_cell(row.conduct.context.tool_result_share, 1, as_percent=True),
            )
            for row in rows
        ),
    )


def _retries(rows: Sequence[CandidateRow]) -> Table:
    columns = (
        *("Candidate", "Retries per operation", "Runs with retries", "Attempts in vain", "Tokens in vain"),
        *("Seconds in vain", "USD in vain"),
    )
    return Table("Retries, and what they cost (means per run)", columns, tuple(map(_retry_row, rows)))


def _retry_row(row: CandidateRow) -> tuple[Cell, ...]:
    made = row.conduct.retrying
    return (
        name_cell(row),
        estimate_cell(made.retry_rate, 3),
        estimate_cell(made.retried_runs, 1, as_percent=True),
        estimate_cell(made.mean_wasted_attempts, 2),
        estimate_cell(made.mean_wasted_tokens, 0),
        estimate_cell(made.mean_wasted_s, 2),
        estimate_cell(made.mean_wasted_usd, 5),
    )


def _resources(rows: Sequence[CandidateRow]) -> Table:
    columns = (
        *("Candidate", "USD a run", "Near the memory limit", "Packages", "MB installed"),
        *("Unneeded packages", "Unneeded MB"),
    )
    return Table("Cost and resources (means per run)", columns, tuple(map(_resource_row, rows)))


def _resource_row(row: CandidateRow) -> tuple[Cell, ...]:
    installed, cost = row.conduct.packages, estimate_cell(row.conduct.mean_cost_usd, 5)
    near = estimate_cell(row.near_ceiling, 3)
    nobody = Cell(UNKNOWN, note="unknown: nobody looked at what these runs installed")
    packages = (nobody,) * 4
    if installed is not None:
        packages = (
            estimate_cell(installed.mean_count, 2),
            estimate_cell(installed.mean_mb, 1),
            estimate_cell(installed.mean_unneeded, 2),
            estimate_cell(installed.mean_unneeded_mb, 1),
        )
    priced = Cell(cost.text, cost.below, f"{cost.note}; list prices of genai-prices {prices_version()}")
    return (name_cell(row), priced, near, *packages)


def _unneeded(row: CandidateRow) -> dict[str, int]:
    """The commonest ones."""
    installed = row.conduct.packages
    return dict(list(installed.unneeded.items())[:MAX_NAMES]) if installed else {}
