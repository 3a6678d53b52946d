"""Options that the commands share which run bake-offs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from replay.conditions import Workspace
from trajectory.errors import OperatorError

Tasks = Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated. All if not given.")]
Splits = Annotated[list[str] | None, typer.Option(help="Only tasks in this part of the data set; may be repeated.")]
Tags = Annotated[list[str] | None, typer.Option(help="Only tasks with this tag; with all, if repeated.")]
Seed = Annotated[int, typer.Option(help="Seed of order and of requests.")]
WorkspaceName = Annotated[
    str, typer.Option(help="shared: agents run in their own folder; copy: each run gets a copy of it.")
]
Parallel = Annotated[
    float | None, typer.Option(min=1, help="At most so many runs at once; as many as CPUs if not given.")
]
Worlds = Annotated[
    list[str] | None,
    typer.Option(
        help="What answers tool calls where the engine drives: tape, tables:FILE, MODULE:CLASS, mcp:COMMAND, "
        "mcp+http:COMMAND, http:COMMAND, live or written, with ?option=value&…; may be repeated, the first that has an "
        "answer gives it. The tape if not given."
    ),
]
AllowLive = Annotated[
    list[str] | None,
    typer.Option(help="Tool that the live world may call for real, or a pattern such as get_*; may be repeated."),
]
HtmlReport = Annotated[Path | None, typer.Option(help="Write the report here, as .html.")]


def workspace_named(name: str) -> Workspace:
    if name == "shared":
        return "shared"
    if name == "copy":
        return "copy"
    raise OperatorError(f"--workspace {name!r} is unknown", hint="it is shared or copy")
