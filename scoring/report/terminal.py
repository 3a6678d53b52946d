"""The report at a terminal: what a person needs first, and by name what else there is."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from scoring.cautions import URGENT
from scoring.decision.model import Decision
from scoring.report.brief import brief_outcome_table, brief_pair_table
from scoring.report.dataset import dataset_lines
from scoring.report.decision import decision_parts
from scoring.report.sections import SECTIONS, sections_of
from scoring.report.stepwise import stepwise_tables
from scoring.report.tables import Cell, Part, Table
from scoring.scorecard import Caution, Scorecard
from scoring.wording import count

MAX_CAUTIONS = 6
"""Cautions that are printed at once, urgent ones first."""
_PADDING = 2


def print_report(card: Scorecard, console: Console, sections: Collection[str] = ()) -> None:
    """Without `sections` what matters most, and what else there is; else those that have something to say, whole."""
    _print_head(card, console)
    if not sections:
        _print_brief(card, console)
        return
    found = sections_of(card)
    for name in (name for name in SECTIONS if name in sections):
        _print_parts(found.get(name, ()), console)
    if absent := sorted(set(sections) - set(found)):
        console.print(Text(f"\nNothing to tell of this bake-off: {', '.join(absent)}", style="dim"))


def _print_head(card: Scorecard, console: Console) -> None:
    sizes = (
        count(len(card.candidates), "candidate"),
        count(len(card.bakeoff.tasks), "task"),
        count(card.bakeoff.trials, "trial"),
        count(len(card.runs), "run"),
    )
    console.print(f"[bold]Bake-off {escape(card.bakeoff.id)}[/bold]  {', '.join(sizes)}")


def _print_brief(card: Scorecard, console: Console) -> None:
    if card.decision is not None:
        _print_decision(card.decision, console)
    for i, sentence in enumerate(card.conclusions):
        console.print(Text(sentence, style="bold" if i == 0 else ""))
    whole = (brief_outcome_table(card), brief_pair_table(card))
    for table in stepwise_tables(card) if card.stepwise else whole:
        if table is not None:
            console.print()
            _print_table(table, console)
    _print_cautions(card, console)
    _print_more(card, console)


def _print_decision(decision: Decision, console: Console) -> None:
    first = decision_parts(decision)[0]
    console.print(Text(first.title, style="bold"))
    for line in first.lines:
        console.print(Text(line))
    console.print()


def _print_cautions(card: Scorecard, console: Console) -> None:
    ordered = sorted(card.cautions, key=lambda caution: caution.kind not in URGENT)
    if ordered:
        console.print()
    for caution in ordered[:MAX_CAUTIONS]:
        console.print(_caution(caution))
    if len(ordered) > MAX_CAUTIONS:
        console.print(Text(f"! {len(ordered) - MAX_CAUTIONS} more: --section cautions", style="yellow"))


def _print_more(card: Scorecard, console: Console) -> None:
    preset = f" --preset {card.decision.preset}" if card.decision else ""
    command = f"ironcage bakeoff report {card.bakeoff.id}{preset}"
    console.print()
    formulas = () if card.stepwise else dict.fromkeys(formula.formula for formula in card.formulas)
    for line in (*formulas, *dataset_lines(card)[:1]):
        console.print(Text(line, style="dim"))
    console.print(Text(f"More: {command} --section NAME, --full, or with plots --report FILE.html"))
    names = Grid.grid(padding=(0, _PADDING))
    for name in sections_of(card):
        names.add_row(Text(name, style="bold"), Text(SECTIONS[name].says, style="dim"))
    console.print(Padding(names, (0, 0, 0, 2)))


def _print_parts(parts: Sequence[Part], console: Console) -> None:
    for part in parts:
        console.print()
        if part.lines:
            console.print(Text(part.title, style="bold"))
        for line in part.lines:
            console.print(Text(line))
        if part.table:
            _print_table(replace(part.table, title="") if part.lines else part.table, console)


def _print_table(table: Table, console: Console) -> None:
    for part in fitting(table, console.width):
        console.print(_grid(part))


def fitting(table: Table, width: int) -> list[Table]:
    """`table` as several that each fit into `width` characters: its first column with as many others as have room.

    A column that is too wide even alone gets a part of its own, which is then wrapped.
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
    is_alone = len(table.columns) == 2
    for i, column in enumerate(table.columns):
        head = textwrap.fill(column, _width(table, i) - _PADDING, break_long_words=False)
        grid.add_column(head, justify="left" if i == 0 else "right", no_wrap=i == 0 or not is_alone)
    for row in table.rows:
        grid.add_row(*(_cell(cell) for cell in row))
    return grid


def _cell(cell: Cell) -> Text:
    text = Text(cell.text, style="dim italic" if cell.is_unknown else "")
    if cell.below:
        text.append(f"\n{cell.below}", style="dim")
    return text
