"""What did not come over where a candidate spoke another wire format than its tasks."""

from __future__ import annotations

from collections.abc import Iterator

from scoring.report.tables import Cell, Table
from scoring.scorecard import Scorecard
from trajectory.runs import Loss


def loss_tables(card: Scorecard) -> tuple[Table, ...]:
    """Empty where nothing was translated. One row a loss and candidate; behind its count stand the tasks."""
    rows = tuple(_rows(card))
    columns = ("Candidate", "What", "Where it stood", "What became of it", "Tasks")
    return (Table("Lost between wire formats", columns, rows),) if rows else ()


def _rows(card: Scorecard) -> Iterator[tuple[Cell, ...]]:
    for candidate in card.candidates:
        runs = [run for run in card.runs if run.candidate == candidate.candidate.name]
        tasks = {run.task for run in runs}
        found: dict[Loss, dict[str, None]] = {}
        for run in runs:
            for loss in run.losses:
                found.setdefault(loss, {})[run.task] = None
        for loss in sorted(found, key=lambda one: (one.kind, one.where, one.what)):
            with_it = found[loss]
            count = Cell(f"{len(with_it)} of {len(tasks)}", note=", ".join(with_it))
            name = Cell(candidate.candidate.name, below=candidate.candidate.wire or "")
            yield name, Cell(loss.kind.replace("_", " ")), Cell(loss.where), Cell(loss.what), count
