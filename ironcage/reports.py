"""Reports as commands hand them out: written to a file, their tables printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from ironcage.output import print_table
from scoring.report.tables import Table
from trajectory.errors import OperatorError


def write_report(file: Path, text: str) -> None:
    """Folders are made. OperatorError if it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as e:
        raise OperatorError(f"cannot write {file}: {e.strerror}", hint="name a file that can be written") from None


def print_tables(tables: Sequence[Table]) -> None:
    for table in tables:
        print_table(table.columns, [[f"{cell.text} {cell.below}".rstrip() for cell in row] for row in table.rows])


def say_where(file: Path) -> None:
    typer.echo(f"report: {file.resolve().as_uri()}", err=True)


def require_html(file: Path | None) -> None:
    if file is not None and file.suffix != ".html":
        raise OperatorError(f"--report {file}: unknown ending", hint="use .html, or --json")
