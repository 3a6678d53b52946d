"""`ironcage trajectories`: look at, label, move and delete what was recorded."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ironcage.output import Json, print_bytes, print_json, print_table, print_text, when
from ironcage.reach import build_store
from ironcage.retention import InUse, began_before, read_age
from ironcage.settings import load
from trajectory.clock import SYSTEM_CLOCK
from trajectory.errors import OperatorError
from trajectory.formats.jsonl import export_trajectory, import_trajectory
from trajectory.store import Store
from trajectory.trajectory import AttemptView, OutcomeLabel, Step, Trajectory

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Look at, label, move and delete what was recorded.",
)
Id = Annotated[str, typer.Argument(metavar="TRAJECTORY", help="A trajectory's id, as `list` shows it.")]
Text = 60


class Label(StrEnum):
    passed = "passed"
    failed = "failed"
    none = "none"


_LABELS: dict[Label, OutcomeLabel | None] = {Label.passed: "passed", Label.failed: "failed", Label.none: None}


class Side(StrEnum):
    request = "request"
    reply = "reply"
    client_reply = "client_reply"


def _store(context: typer.Context) -> Store:
    return build_store(load(context.obj))


@app.command("list")
def list_trajectories(
    context: typer.Context,
    session: Annotated[str | None, typer.Option(help="Only of this session.")] = None,
    task: Annotated[str | None, typer.Option(help="Only of this task.")] = None,
    source: Annotated[str | None, typer.Option(help="Only live, replay or imported ones.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 1000,
    as_json: Json = False,
) -> None:
    """List trajectories, the newest first."""
    with closing(_store(context)) as store:
        found = store.find(session=session, task=task, source=source, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = (
        "trajectory",
        "task",
        "source",
        "began (UTC)",
        "seconds",
        "model",
        "tool",
        "attempts",
        "refused",
        "label",
    )
    print_table(
        columns,
        [
            (t.id, t.task, t.source, when(t.started_at), round(t.duration_s, 2),
             t.model_calls, t.tool_calls, t.attempts, t.refusals, t.label)
            for t in found
        ],
    )  # fmt: skip


@app.command()
def show(
    context: typer.Context,
    trajectory: Id,
    attempt: Annotated[str | None, typer.Option(help="Print a recorded body of this attempt, byte for byte.")] = None,
    side: Annotated[Side, typer.Option(help="Which body of the attempt.")] = Side.reply,
    as_json: Json = False,
) -> None:
    """Show the steps of a trajectory, or one recorded body."""
    with closing(_store(context)) as store:
        found = store.trajectory(trajectory)
        if attempt is not None:
            _print_body(store, found, attempt, side)
            return
    if as_json:
        print_json(found)
        return
    head = [found.id, f"task {found.task}" if found.task else "", found.source, when(found.started_at)]
    typer.echo("  ".join(filter(None, head)))
    if found.label:
        typer.echo(f"{found.label}: {found.label_evidence}")
    columns = ("step", "kind", "upstream", "attempt", "status", "end", "seconds", "what", "verdicts")
    print_table(columns, [_row(step, view) for step in found.steps for view in step.attempts])


def _row(step: Step, view: AttemptView) -> tuple[object, ...]:
    verdicts = "; ".join(f"{note.action} {note.code} {note.subject}".strip() for note in view.verdicts)
    return (
        step.index, step.kind, step.upstream, f"{view.number}  {view.id}", view.status, view.end,
        round(view.total_s, 3), _what(step, view), verdicts or None,
    )  # fmt: skip


def _what(step: Step, view: AttemptView) -> str:
    if view.tool is not None:
        return f"{view.tool.name} {view.tool.arguments[:Text]}"
    if view.answer is None:
        return view.error or (f"{step.method} {step.path}"[:Text] if step.kind == "web" else "")
    calls = ", ".join(call.name for call in view.answer.calls)
    return f"calls {calls}" if calls else view.answer.text[:Text].replace("\n", " ")


def _print_body(store: Store, found: Trajectory, attempt: str, side: Side) -> None:
    if not any(view.id == attempt for step in found.steps for view in step.attempts):
        raise OperatorError(f"{found.id} has no attempt {attempt}", hint="`trajectories show` lists them")
    body = store.body(attempt, side.value)
    if body is None:
        raise OperatorError(f"no {side.value} is recorded of attempt {attempt}", hint="try another --side")
    print_bytes(body)


@app.command()
def label(
    context: typer.Context,
    trajectory: Id,
    outcome: Annotated[Label, typer.Argument(help="passed or failed; none takes a label back.")],
    evidence: Annotated[str, typer.Option(help="Why: who or what says so.")] = "",
) -> None:
    """Say whether a recorded run passed."""
    with closing(_store(context)) as store:
        store.label(trajectory, _LABELS[outcome], evidence)


@app.command("export")
def export(
    context: typer.Context,
    trajectory: Id,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file instead of standard output.")] = None,
) -> None:
    """Write a trajectory with all its bodies as JSON lines."""
    with closing(_store(context)) as store:
        lines = export_trajectory(store, trajectory)
        if output is None:
            for line in lines:
                print_text(line + "\n")
            return
        try:
            with output.open("w", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in lines)
        except OSError as e:
            raise OperatorError(
                f"cannot write {output}: {e.strerror}", hint="name a file that can be written"
            ) from None


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `export` wrote.")],
) -> None:
    """Read an exported trajectory into the store, whole or not at all."""
    with closing(_store(context)) as store:
        try:
            with file.open(encoding="utf-8") as lines:
                typer.echo(import_trajectory(store, lines))
        except (OSError, UnicodeDecodeError) as e:
            raise OperatorError(
                f"cannot read {file}: {e}", hint="name a file that `trajectories export` wrote"
            ) from None


@app.command()
def delete(
    context: typer.Context,
    trajectories: Annotated[
        list[str] | None, typer.Argument(metavar="[TRAJECTORY...]", help="Ids, as `list` shows them.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            help="All that began longer ago than this (90m, 12h, 30d, 8w), but those that kept tasks and bake-offs "
            "stand on."
        ),
    ] = None,
    source: Annotated[str | None, typer.Option(help="With --older-than: only live, replay or imported ones.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
) -> None:
    """Delete trajectories for good."""
    if (older_than is None) == (not trajectories):
        raise OperatorError("nothing says what to delete", hint="give ids, or --older-than 30d; not both")
    with closing(_store(context)) as store:
        if older_than is not None:
            _delete_old(store, SYSTEM_CLOCK.now_s() - read_age(older_than), source, dry_run=dry_run)
            return
        for trajectory in trajectories or ():
            if dry_run:
                store.trajectory(trajectory)
            else:
                store.delete(trajectory)


def _delete_old(store: Store, before_s: float, source: str | None, *, dry_run: bool) -> None:
    in_use = InUse.of(store)
    deleted = kept = 0
    for one in began_before(store, before_s, source):
        if in_use.holds(one):
            kept += 1
            continue
        if not dry_run:
            store.delete(one.id)
        deleted += 1
    did = "would be deleted" if dry_run else "deleted"
    stay = f"; {kept} stay, since kept tasks or bake-offs stand on them" if kept else ""
    typer.echo(f"{deleted} {did}, begun before {when(before_s)} UTC{stay}")
