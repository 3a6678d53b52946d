"""`ironcage init`: write a first configuration, found from the environment where it can be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import psutil
import typer

from ironcage.output import written_new
from ironcage.settings import DEFAULT_FILE, load
from ironcage.starter import (
    CONSTRAINTS_FILE,
    Machine,
    constraints_text,
    found_upstreams,
    settings_text,
    suggested_constraints,
)
from trajectory.errors import OperatorError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Replace the configuration if there is one.")] = False,
) -> None:
    """Write a commented ironcage.yaml, found from the environment, and constraints.json if there is none."""
    file = context.obj or Path(DEFAULT_FILE)
    constraints = file.parent / CONSTRAINTS_FILE
    upstreams = found_upstreams(os.environ)
    if file.exists() and not force:
        raise OperatorError(f"{file} is there already", hint="edit it, or write a new one over it with --force")
    is_new = not constraints.exists()
    if is_new:
        machine = Machine(psutil.virtual_memory().total, os.cpu_count() or 1)
        written_new(constraints, constraints_text(suggested_constraints(machine)))
    written_new(file, settings_text(upstreams), replace=force)
    load(file, environment={})  # what was written is what can be read
    names = ", ".join(one.name for one in upstreams) or "none found in the environment: name some in the file"
    typer.echo(f"wrote {file} (upstreams: {names})")
    typer.echo(f"wrote {constraints}" if is_new else f"kept {constraints}")
    option = "" if context.obj is None else f" -c {file}"
    first = "" if upstreams else f"  name the models and tools of your agent in {file}\n"
    typer.echo(f"\nnext:\n{first}  ironcage{option} serve\n  ironcage{option} run -- python my_agent.py")
