"""The report as Markdown: for a pull request or a wiki. n, interval and method of each number stand in footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scoring.report.certificates import certificate_lines
from scoring.report.dataset import dataset_lines
from scoring.report.decision import decision_parts
from scoring.report.losses import loss_tables
from scoring.report.quality import quality_tables, side_by_side
from scoring.report.stepwise import stepwise_tables
from scoring.report.tables import (
    Cell,
    Table,
    cost_table,
    count_tables,
    error_table,
    outcome_table,
    pair_table,
    pass_k_table,
)
from scoring.report.versions import versions
from scoring.scorecard import Scorecard

# Whatever a model or a name may hold that Markdown or HTML would read as its own.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$])")


MAX_PARTINGS = 8
"""First divergences that the Markdown tells; the page has more, the JSON file all."""


def render_markdown(card: Scorecard) -> str:
    footnotes: dict[str, int] = {}
    lines = [f"# {_plain(card.conclusions[0])}", ""]
    lines += [f"{_plain(sentence)}\n" for sentence in card.conclusions[1:]]
    for part in decision_parts(card.decision) if card.decision else ():
        lines += [f"## {_plain(part.title)}", "", *(f"- {_plain(line)}" for line in part.lines), ""]
        lines += [*_table(part.table, footnotes), ""] if part.table else []
    if card.cautions:
        lines += ["## Before you quote a number", ""]
        lines += [f"- **{caution.kind.replace('_', ' ')}**: {_plain(caution.text)}" for caution in card.cautions]
        lines.append("")
    tables = [
        outcome_table(card),
        cost_table(card),
        pass_k_table(card),
        *stepwise_tables(card),
        *count_tables(card),
        *loss_tables(card),
        *quality_tables(card),
        pair_table(card) if card.pairs else None,
        error_table(card),
    ]
    for table in tables:
        if table is not None:
            lines += [f"## {table.title}", "", *_table(table, footnotes), ""]
    lines += _partings(card)
    lines += ["## Formulas with the values used", "", "```text"]
    lines += list(dict.fromkeys(formula.formula for formula in card.formulas))
    lines += [f"{formula.candidate}: {formula.with_values}" for formula in card.formulas]
    lines += ["```", "", "## Definitions", ""]
    lines += [f"- **{_plain(name)}**: {_plain(text)}" for name, text in card.definitions.items()]
    lines += ["", "## What was equal, and what ran", ""]
    lines += [f"- fingerprint `{card.bakeoff.fingerprint}`"]
    lines += [f"- {_plain(name)}: `{digest}`" for name, digest in sorted(card.bakeoff.fingerprint_parts.items())]
    lines += [f"- {_plain(line)}" for line in (*dataset_lines(card), *certificate_lines(card))]
    lines += [f"- {name} {version}" for name, version in versions().items()]
    lines += ["", *_footnotes(footnotes)]
    return "\n".join(lines).rstrip() + "\n"


def _partings(card: Scorecard) -> list[str]:
    """Where runs first part from the reference path."""
    lines = [
        f"- **{_plain(one.heading)}** ({one.outcome}; {_plain(one.what)}): {_plain(one.here)} — the reference: "
        f"{_plain(one.there)}"
        for one in side_by_side(card)[:MAX_PARTINGS]
    ]
    return ["## First divergences", "", *lines, ""] if lines else []


def _table(table: Table, footnotes: dict[str, int]) -> Iterable[str]:
    yield "| " + " | ".join(_plain(column) for column in table.columns) + " |"
    yield "| " + " | ".join(["---", *["---:"] * (len(table.columns) - 1)]) + " |"
    for row in table.rows:
        yield "| " + " | ".join(_cell(cell, footnotes) for cell in row) + " |"


def _cell(cell: Cell, footnotes: dict[str, int]) -> str:
    below = f" {_plain(cell.below)}" if cell.below else ""
    mark = f" [^{footnotes.setdefault(cell.note, len(footnotes) + 1)}]" if cell.note else ""
    return f"{_plain(cell.text)}{below}{mark}"


def _footnotes(footnotes: dict[str, int]) -> Iterable[str]:
    for note, mark in footnotes.items():
        yield f"[^{mark}]: {_plain(note)}"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text).replace("\n", " ")
