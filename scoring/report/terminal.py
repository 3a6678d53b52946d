"""The short form: two tables and the sentences, for a person at a terminal."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

from scoring.cautions import URGENT
from scoring.decision.model import Decision
from scoring.report.dataset import dataset_lines
from scoring.report.decision import decision_parts
from scoring.report.quality import quality_tables
from scoring.report.stepwise import stepwise_tables
from scoring.report.tables import Cell, Table, cost_table, count_tables, outcome_table, pass_k_table
from scoring.scorecard import Caution, Scorecard

_PADDING = 2


def print_report(card: Scorecard, console: Console) -> None:
    tasks, trials = len(card.bakeoff.tasks), card.bakeoff.trials
    size = f"{len(card.candidates)} candidates, {tasks} tasks, {trials} trial{'s' if trials > 1 else ''}"
    console.print(f"[bold]Bake-off {escape(card.bakeoff.id)}[/bold]  {size}, {len(card.runs)} runs")
    for table in _tables(card):
        if table is not None:
            for part in fitting(table, console.width):
                console.print(_grid(part))
    for i, sentence in enumerate(card.conclusions):
        console.print(Text(sentence, style="bold" if i == 0 else ""))
    for caution in sorted(card.cautions, key=lambda caution: caution.kind not in URGENT):
        console.print(_caution(caution))
    for formula in dict.fromkeys(formula.formula for formula in card.formulas if not card.stepwise):
        console.print(Text(formula, style="dim"))
    for line in dataset_lines(card)[:1]:
        console.print(Text(line, style="dim"))
    if card.decision is not None:
        _print_decision(card.decision, console)


def _tables(card: Scorecard) -> list[Table | None]:
    """Stepwise runs went no way of their own to an end: their steps are what there is to tell."""
    if card.stepwise:
        return [*stepwise_tables(card), *count_tables(card)]
    whole = [outcome_table(card), cost_table(card), pass_k_table(card), *stepwise_tables(card), *count_tables(card)]
    return [*whole, *quality_tables(card)]


def _print_decision(decision: Decision, console: Console) -> None:
    for part in decision_parts(decision):
        if part.lines:
            console.print(Text(part.title, style="bold"))
        for line in part.lines:
            console.print(Text(line))
        for table in fitting(part.table, console.width) if part.table else []:
            console.print(_grid(replace(table, title="") if part.lines else table))


def fitting(table: Table, width: int) -> list[Table]:
    """`table` as several that each fit into `width` characters: its first column with as many others as have room.

    A column that is too wide even alone gets a part of its own, which is then cut.
    """
    widths = [_width(table, i) for i in range(len(table.columns))]
    parts: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        if len(parts[-1]) > 1 and sum(widths[j] for j in parts[-1]) + widths[i] > width:
            parts.append([0])
        parts[-1].append(i)
    return [_only(table, part, table.title if n == 0 else f"{table.title}, continued") for n, part in enumerate(parts)]


def _width(table: Table, column: int) -> int:
    cells = [row[column] for row in table.rows]
    lines = [line for cell in cells for text in (cell.text, cell.below) for line in text.splitlines()]
    words = table.columns[column].split() if column else [table.columns[column]]
    return max((len(line) for line in (*lines, *words)), default=0) + _PADDING


def _only(table: Table, columns: list[int], title: str) -> Table:
    rows = tuple(tuple(row[i] for i in columns) for row in table.rows)
    return replace(table, title=title, columns=tuple(table.columns[i] for i in columns), rows=rows)


def _caution(caution: Caution) -> Text:
    style = "bold yellow" if caution.kind in URGENT else "yellow"
    return Text.assemble(("! ", style), caution.text)


def _grid(table: Table) -> Grid:
    grid = Grid(
        title=table.title or None,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        padding=(0, _PADDING, 0, 0),
    )
    for i, column in enumerate(table.columns):
        grid.add_column(column, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for row in table.rows:
        grid.add_row(*(_cell(cell) for cell in row))
    return grid


def _cell(cell: Cell) -> Text:
    text = Text(cell.text, style="dim italic" if cell.is_unknown else "")
    if cell.below:
        text.append(f"\n{cell.below}", style="dim")
    return text
