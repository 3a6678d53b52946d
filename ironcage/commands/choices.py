"""Options that several commands share, each with what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Candidates = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=UPSTREAM/MODEL, with ,wire=WIRE where it speaks another format than the tasks, and ?key=value&… "
        "for parameters, called as its format calls them; may be repeated. None for mode offline."
    ),
]
Tasks = Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated. All if not given.")]
Splits = Annotated[list[str] | None, typer.Option(help="Only tasks in this part of the data set; may be repeated.")]
Tags = Annotated[list[str] | None, typer.Option(help="Only tasks with this tag; with all, if repeated.")]
ModeName = Annotated[
    str | None,
    typer.Option(
        help="agent: the recorded command in the cage, with another model; closed_loop: the engine drives, a world "
        "answers; stepwise: each recorded context once, nothing executed; offline: the command, answered from the "
        "tape. As each task was recorded if not given."
    ),
]
FromStep = Annotated[
    int | None,
    typer.Option(min=1, help="Go on from this recorded model step, counted from 1, in a world brought there."),
]
Trials = Annotated[int, typer.Option(min=1, help="How often each candidate tries each task, under each condition.")]
Seed = Annotated[int, typer.Option(help="Seed of order and of requests.")]
Name = Annotated[str | None, typer.Option("--id", help="Name of it all; what was interrupted goes on under its name.")]
WorkspaceName = Annotated[
    str, typer.Option(help="shared: agents run in their own folder; copy: each run gets a copy of it.")
]
Resets = Annotated[
    list[Path] | None,
    typer.Option(
        help="File or folder that trials change, such as a memory store: put back before each as it was when the "
        "bake-off began, one trial at a time; may be repeated."
    ),
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
TapeTools = Annotated[
    bool,
    typer.Option(
        "--tape-tools", help="In mode offline, answer the tools and MCP servers of the configuration from the tape too."
    ),
]
MinFidelity = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Report, but do not rank, runs with a smaller share of tool results that are neither missing nor "
        "possibly stale nor written by a model.",
    ),
]
UnmatchedApprovals = Annotated[
    str,
    typer.Option(
        help="What decides on calls that wait for a person, where the recorded run has no decision on the same call: "
        "recorded: nothing, and they are denied; allow or deny: this."
    ),
]
Parallel = Annotated[
    float | None, typer.Option(min=1, help="At most so many runs at once; as many as CPUs if not given.")
]
ExecutorName = Annotated[
    str, typer.Option(help="local: in processes of this command; ray: on the workers of a Ray cluster.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(help="A running Ray cluster, auto or host:port; one is started here on loopback if not given."),
]
HtmlReport = Annotated[Path | None, typer.Option(help="Write the report here, as .html.")]
