"""`ironcage tasks audit`: cues in system prompts and tool definitions, with the words quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Annotated

import typer

from ironcage.auditing import Texts, audited, task_texts, trajectory_texts
from ironcage.choosing import choose_tasks
from ironcage.output import Json, print_json, print_table
from ironcage.reach import build_store
from ironcage.settings import load
from scoring.wording import count
from trajectory.store import Store

_NAMED = 3


def audit(
    context: typer.Context,
    task: Annotated[list[str] | None, typer.Argument(metavar="[TASK...]", help="All if none is named.")] = None,
    trajectory: Annotated[
        list[str] | None, typer.Option(help="A recorded trajectory, every call of it; may be repeated. No tasks then.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what in system prompts and tools steers behaviour (roles, leniency, urgency, hidden instructions…), quoted;
    exit code 1 if there is anything.
    """
    with closing(build_store(load(context.obj))) as store:
        read = audited(_texts(store, task or (), trajectory or ()))
    if as_json:
        print_json(read)
    else:
        rows = [
            (one.cue.kind, one.cue.where, one.cue.quote, one.cue.note or None, _named(one.found_in))
            for one in read.findings
        ]
        if rows:
            print_table(("cue", "where", "quote", "note", "found in"), rows)
        if read.unread:
            typer.echo(f"! the system prompts of {_named(read.unread)} could not be read", err=True)
        counted = ((read.prompts, "prompt"), (read.tools, "tool"), (len(read.findings), "cue"))
        typer.echo(", ".join(count(n, what) for n, what in counted), err=True)
    if read.findings:
        raise typer.Exit(1)


def _texts(store: Store, tasks: Sequence[str], trajectories: Sequence[str]) -> Iterator[Texts]:
    if tasks or not trajectories:
        yield from map(task_texts, choose_tasks(store, tasks))
    for trajectory in trajectories:
        yield from trajectory_texts(store, trajectory)


def _named(owners: Sequence[str]) -> str:
    more = len(owners) - _NAMED
    return ", ".join(owners[:_NAMED]) + (f" and {more} more" if more > 0 else "")
