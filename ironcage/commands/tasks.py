"""`ironcage tasks`: turn recorded trajectories into replayable tasks."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import Annotated

import typer

from ironcage.commands.auditing import audit
from ironcage.conditions import conditions_of
from ironcage.output import Json, print_json, print_table
from ironcage.reach import build_store
from ironcage.settings import Loaded, load
from replay.building import build_tasks
from replay.dataset import Split, dataset_of, read_split, task_identity
from replay.fingerprint import digest_of
from replay.task import Check, CommandCheck, ExpectedAnswer, Task, read_task
from replay.task_lint import lint_task
from replay.world.declared import declared_kinds
from replay.world.kinds import ToolKinds
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
    tag: Annotated[
        list[str] | None, typer.Option(help="Tag of the tasks that are built, to choose them by; may be repeated.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Parts of the data set with their shares, such as train=0.7,test=0.3; a task stays in its own."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    as_json: Json = False,
) -> None:
    """Build one task for each task name (or session) among the trajectories; of several recordings the best counts."""
    parts = read_split(split, seed) if split is not None else None
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
        known = store.tasks()
        for task in built.tasks:
            before = read_task(known[task.id]) if task.id in known else None
            store.put_task(task.id, _placed(task, before, parts, tuple(tag or ())).document())
    if as_json:
        print_json({"tasks": [t.id for t in built.tasks], "unreplayable": built.unreplayable})
    else:
        typer.echo(f"{len(built.tasks)} tasks built from {len(named)} trajectories")
        for problem in built.unreplayable:
            typer.echo(f"not replayable: {problem.trajectory}: {problem.reason}", err=True)
    if not built.tasks:
        raise typer.Exit(1)


def _placed(task: Task, before: Task | None, parts: Split | None, tags: tuple[str, ...]) -> Task:
    """With its tags and its part of the data set; what was said of it before stays, where nothing else is said."""
    kept = (before.tags, before.split) if before is not None else ((), None)
    return task.model_copy(update={"tags": tags or kept[0], "split": parts.of(task.id) if parts else kept[1]})


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
    """List the tasks that are kept, and the digest of the data set that they are."""
    loaded = load(context.obj)
    with closing(build_store(loaded)) as store:
        found = [read_task(document) for document in store.tasks().values()]
    if as_json:
        print_json([_shown(task, loaded) for task in found])
        return
    columns = ("task", "mode", "recorded model", "reference calls", "checks", "split", "tags", "input")
    rows = [
        (
            t.id,
            t.mode,
            t.model,
            len(t.reference),
            ", ".join(c.kind for c in t.checks),
            t.split,
            ", ".join(t.tags),
            t.input[:60],
        )
        for t in found
    ]
    print_table(columns, rows)
    if found:
        dataset = dataset_of(found, conditions=conditions_of(loaded), seed=0)
        typer.echo(f"data set {dataset.tasks} ({dataset.count} tasks), policy {dataset.policy}", err=True)


@app.command()
def show(context: typer.Context, task: Annotated[str, typer.Argument(help="A task's id.")]) -> None:
    """Show one task as JSON, with its identity: digests of content, policy and tools, and the model's parameters."""
    loaded = load(context.obj)
    with closing(build_store(loaded)) as store:
        document = store.tasks().get(task)
    if document is None:
        raise OperatorError(f"there is no task {task!r}", hint="`tasks list` shows them")
    print_json(_shown(read_task(document), loaded))


def _shown(task: Task, loaded: Loaded) -> dict[str, object]:
    identity = {**task_identity(task), "policy": digest_of(conditions_of(loaded))}
    return {**task.model_dump(mode="json"), "identity": identity}


@app.command()
def lint(
    context: typer.Context,
    task: Annotated[list[str] | None, typer.Argument(metavar="[TASK...]", help="All if none is named.")] = None,
    world: Annotated[
        list[str] | None,
        typer.Option(
            help="As in `bakeoff run`: what answers tool calls where the engine drives. The tape if not given."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what makes tasks unreplayable or their replays doubtful, and what to do; exit code 1 if there is anything."""
    worlds = tuple(world or ("tape",))
    kinds, simulated = ToolKinds(declared_kinds(worlds)), any(not one.startswith("tape") for one in worlds)
    with closing(build_store(load(context.obj))) as store:
        known = store.tasks()
        if missing := [one for one in task or () if one not in known]:
            raise OperatorError(f"there is no task {missing[0]!r}", hint="`tasks list` shows them")
        chosen = [read_task(known[one]) for one in (task or known)]
        found = [finding for one in chosen for finding in lint_task(store, one, kinds=kinds, simulated=simulated)]
    if as_json:
        print_json({"tasks": len(chosen), "findings": found})
    else:
        for one in found:
            typer.echo(f"{one.task}: {one.level}: {one.what} [{one.code}]\n    {one.todo}")
        typer.echo(f"{len(chosen)} tasks, {len(found)} findings", err=True)
    if found:
        raise typer.Exit(1)


app.command()(audit)
