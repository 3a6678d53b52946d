"""`ironcage tasks`: turn recorded trajectories into replayable tasks."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import Annotated

import typer

from ironcage.output import Json, print_json, print_table
from ironcage.reach import build_store
from ironcage.settings import load
from replay.building import build_tasks
from replay.task import Check, CommandCheck, ExpectedAnswer, read_task
from trajectory.errors import OperatorError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Turn recorded trajectories into tasks that can be re-run.",
)


@app.command(context_settings={"allow_interspersed_args": True})
def build(
    context: typer.Context,
    trajectories: Annotated[
        list[str] | None, typer.Argument(metavar="[TRAJECTORY...]", help="All live ones if none is named.")
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            help="Command that judges a run: exit code 0 passed, 1 failed, other undecided; quoted as one word."
        ),
    ] = None,
    check_timeout_s: Annotated[float, typer.Option(min=0.1, help="How long the check may take, in seconds.")] = 60.0,
    expect: Annotated[
        list[str] | None, typer.Option(help="TASK=TEXT: the answer of this task must contain TEXT; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build one task for each task name (or session) among the trajectories; of several recordings the best counts."""
    command = tuple(shlex.split(check)) if check else ()
    expected = _expected(expect or [])

    def checks(task: str) -> tuple[Check, ...]:
        found: list[Check] = [CommandCheck(command=command, timeout_s=check_timeout_s)] if command else []
        if task in expected:
            found.append(ExpectedAnswer(answer=expected[task], match="contains"))
        return tuple(found)

    with closing(build_store(load(context.obj))) as store:
        named = trajectories or [t.id for t in store.find(source="live", limit=100_000) if t.model_calls]
        built = build_tasks(store, named, checks=checks)
        for task in built.tasks:
            store.put_task(task.id, task.document())
    if as_json:
        print_json({"tasks": [t.id for t in built.tasks], "unreplayable": built.unreplayable})
    else:
        typer.echo(f"{len(built.tasks)} tasks built from {len(named)} trajectories")
        for problem in built.unreplayable:
            typer.echo(f"not replayable: {problem.trajectory}: {problem.reason}", err=True)
    if not built.tasks:
        raise typer.Exit(1)


def _expected(given: list[str]) -> dict[str, str]:
    expected: dict[str, str] = {}
    for entry in given:
        task, equals, text = entry.partition("=")
        if not equals or not task:
            raise OperatorError(f"--expect {entry!r} is not TASK=TEXT", hint="for example --expect refund-1=refunded")
        expected[task] = text
    return expected


@app.command("list")
def list_tasks(context: typer.Context, as_json: Json = False) -> None:
    """List the tasks that are kept."""
    with closing(build_store(load(context.obj))) as store:
        found = [read_task(document) for document in store.tasks().values()]
    if as_json:
        print_json([task.model_dump(mode="json") for task in found])
        return
    rows = [(t.id, t.mode, t.model, len(t.reference), ", ".join(c.kind for c in t.checks), t.input[:60]) for t in found]
    print_table(("task", "mode", "recorded model", "reference calls", "checks", "input"), rows)


@app.command()
def show(context: typer.Context, task: Annotated[str, typer.Argument(help="A task's id.")]) -> None:
    """Show one task as JSON."""
    with closing(build_store(load(context.obj))) as store:
        document = store.tasks().get(task)
    if document is None:
        raise OperatorError(f"there is no task {task!r}", hint="`tasks list` shows them")
    print_json(read_task(document).model_dump(mode="json"))
