"""The report as Markdown: for a pull request or a wiki. n, interval and method of each number stand in footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from scoring.report.sections import sections_of
from scoring.report.tables import Cell, Part, Table
from scoring.scorecard import Scorecard

# Whatever a model or a name may hold that Markdown or HTML would read as its own.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$])")
_FIRST = ("decision", "cautions")
"""Sections that stand before any number."""


def render_markdown(card: Scorecard) -> str:
    footnotes: dict[str, int] = {}
    lines = [f"# {_plain(card.conclusions[0])}", ""]
    lines += [f"{_plain(sentence)}\n" for sentence in card.conclusions[1:]]
    sections = sections_of(card)
    del sections["verdict"]
    for name in sorted(sections, key=lambda name: name not in _FIRST):
        lines += _section(sections[name], footnotes)
    return "\n".join([*lines, *_footnotes(footnotes)]).rstrip() + "\n"


def _section(parts: Sequence[Part], footnotes: dict[str, int]) -> Iterable[str]:
    for part in parts:
        yield from (f"## {_plain(part.title)}", "")
        if part.is_code:
            yield from ("```text", *part.lines, "```", "")
        elif part.lines:
            yield from (*(f"- {_plain(line)}" for line in part.lines), "")
        if part.table:
            yield from (*_table(part.table, footnotes), "")


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
