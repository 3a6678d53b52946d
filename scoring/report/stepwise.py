"""What a report says of steps beside recorded steps, and of model answers that came from a tape."""

from __future__ import annotations

from collections import Counter

from scoring.report.tables import Cell, Table, count_table, estimate_cell
from scoring.scorecard import Scorecard
from scoring.stepwise import StepwiseRow
from scoring.wording import count


def stepwise_tables(card: Scorecard) -> tuple[Table, ...]:
    """Empty for a bake-off whose runs went to their end with a model of their own."""
    tables: list[Table] = []
    if card.stepwise:
        tables += [_agreement(card.stepwise), _costs(card.stepwise)]
    answers = _model_answers(card)
    return (*tables, *([answers] if answers is not None else []))


def _agreement(rows: tuple[StepwiseRow, ...]) -> Table:
    columns = ("Candidate", "Same action", "Same tools", "Same arguments", "Same text", "Whole run", "Steps", "Unknown")
    return Table("Agreement with the recorded steps", columns, tuple(map(_agreement_row, rows)))


def _agreement_row(row: StepwiseRow) -> tuple[Cell, ...]:
    rates = (row.agreement, row.same_tools, row.same_arguments, row.same_text, row.runs_in_full_agreement)
    return (
        Cell(row.candidate),
        *(estimate_cell(one, 1, as_percent=True) for one in rates),
        Cell(str(row.steps), count(row.runs, "run"), "recorded contexts that were sent"),
        Cell(str(row.unknown_steps), note="no answer on one side that could be compared"),
    )


def _costs(rows: tuple[StepwiseRow, ...]) -> Table:
    columns = ("Candidate", "Latency s", "Against recorded s", "USD a step", "Against recorded USD", "Violations")
    return Table("Steps: latency, cost, violations", columns, tuple(map(_costs_row, rows)))


def _costs_row(row: StepwiseRow) -> tuple[Cell, ...]:
    refused = ", ".join(f"{code} {n}" for code, n in row.violations.items()) or "none"
    recorded = ", ".join(f"{code} {n}" for code, n in row.recorded_violations.items()) or "none"
    rate = estimate_cell(row.violation_rate, 1, as_percent=True)
    return (
        Cell(row.candidate),
        estimate_cell(row.mean_latency_s, 3),
        estimate_cell(row.latency_difference_s, 3),
        estimate_cell(row.mean_cost_usd, 5),
        estimate_cell(row.cost_difference_usd, 5),
        Cell(rate.text, rate.below, f"{rate.note}; refused: {refused}; in the recording: {recorded}"),
    )


def _model_answers(card: Scorecard) -> Table | None:
    counted = {row.candidate.name: Counter[str]() for row in card.candidates}
    for run in card.runs:
        counted[run.candidate].update(run.model_answers)
    return count_table(
        "Fidelity of model answers",
        "answers from the tape",
        [(row, counted[row.candidate.name]) for row in card.candidates],
    )
