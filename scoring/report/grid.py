"""Candidates x tasks: each cell says how the trials of a task ended. Wide grids are cut into blocks of columns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scoring.report.tables import best_first
from scoring.report.tones import NAMES, SIGNS, Tone, tone_of
from scoring.scorecard import RunRow, Scorecard

BLOCK = 25
"""Tasks in one block."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """`tone` is that of all trials, or the commonest that did not pass; `sign` theirs, or passed of all.

    `passed_share` in percent is set where trials ended differently; `note` tells how each trial ended.
    """

    tone: str
    sign: str
    note: str
    passed_share: float | None = None


@dataclass(frozen=True, slots=True)
class GridBlock:
    tasks: tuple[str, ...]
    rows: tuple[tuple[str, tuple[GridCell, ...]], ...]


def grid_blocks(card: Scorecard) -> tuple[GridBlock, ...]:
    """Tasks in the order of the bake-off, candidates best first."""
    by_cell: defaultdict[tuple[str, str], list[RunRow]] = defaultdict(list)
    for row in card.runs:
        by_cell[row.candidate, row.task].append(row)
    tasks, names = card.bakeoff.tasks, [row.candidate.name for row in best_first(card)]
    return tuple(
        GridBlock(
            tasks=block,
            rows=tuple((name, tuple(_cell(name, task, by_cell[name, task]) for task in block)) for name in names),
        )
        for block in _blocks(tasks)
    )


def _blocks(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(tasks[start : start + BLOCK]) for start in range(0, len(tasks), BLOCK)]


def _cell(name: str, task: str, rows: Sequence[RunRow]) -> GridCell:
    if not rows:
        return GridCell("missing", "·", f"{name}, {task}: no run")
    tones: list[Tone] = [tone_of(row) for row in rows]
    note = f"{name}, {task}: " + "; ".join(_end(row, tone) for row, tone in zip(rows, tones, strict=True))
    if len(set(tones)) == 1:
        return GridCell(tones[0], SIGNS[tones[0]], note)
    passed = sum(row.passed for row in rows)
    commonest = Counter(tone for tone in tones if tone != "passed").most_common(1)[0][0]
    return GridCell(commonest, f"{passed}/{len(rows)}", note, 100 * passed / len(rows))


def _end(row: RunRow, tone: Tone) -> str:
    if row.fault is None:
        return f"trial {row.trial} {NAMES[tone]} ({row.outcome.evidence})"
    return f"trial {row.trial} {row.fault.name} ({row.fault.evidence[0].what})"
