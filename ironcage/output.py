"""How commands print: JSON for programs, tables for people; nothing but data on standard output."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from trajectory.errors import OperatorError

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def print_text(text: str) -> None:
    """All of `text` on standard output: see `print_bytes`."""
    sys.stdout.flush()
    print_bytes(text.encode(sys.stdout.encoding, sys.stdout.errors or "strict"))


def print_bytes(data: bytes) -> None:
    """All of `data`, whatever happens meanwhile.

    With PYTHONUNBUFFERED, usual in containers, Python writes to standard output once and does not look how much was
    taken: a signal in the midst of it (a child that ended) loses the rest without an error. A buffered writer goes on.
    """
    out = sys.stdout.buffer
    whole = io.BufferedWriter(out) if isinstance(out, io.RawIOBase) else out
    try:
        whole.write(data)
        whole.flush()
    finally:
        if whole is not out and isinstance(whole, io.BufferedWriter):
            whole.detach()


def print_json(value: object) -> None:
    """Anything made of frozen data, as indented JSON."""
    plain: Any = msgspec.to_builtins(value, enc_hook=_plain)
    print_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, err: bool = False) -> None:
    """Columns whose cells are all numbers stand to the right. Piped output is not cut to a width."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("-" if cell is None else str(cell) for cell in row))
    console = Console(stderr=err)
    if not console.is_terminal:
        console = Console(width=400, stderr=err)
    console.print(table)


def when(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump is not None else str(value)


def written_new(file: Path, text: str, *, replace: bool = False) -> None:
    """Write `text` to `file`, whole or not at all. Raises OperatorError if it is there, unless `replace` says so."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("x", encoding="utf-8") as written:
            written.write(text)
        try:
            if replace:
                draft.replace(file)
            else:
                file.hardlink_to(draft)  # fails if it is there, also if it came a moment ago
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise OperatorError(f"{file} is there already", hint="name another file, or replace it with --force") from None
    except OSError as e:
        raise OperatorError(f"cannot write {file}: {e.strerror}", hint="name a file that can be written") from None
