"""`ironcage bakeoff`: re-run tasks on candidates under the same limits, score them, compare them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ironcage.assembly import open_doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.bakeoff_workers import trials_opener
from ironcage.candidates import read_candidate
from ironcage.choosing import choose_tasks
from ironcage.commands.choices import (
    AllowLive,
    Parallel,
    Seed,
    Splits,
    Tags,
    Tasks,
    WorkspaceName,
    Worlds,
    workspace_named,
)
from ironcage.commands.comparing import compare
from ironcage.commands.planning import power, schema
from ironcage.commands.sweeping import sweep
from ironcage.commands.variants import variants
from ironcage.conditions import constrained
from ironcage.deciding import decided, preset_named
from ironcage.output import Json, print_table, print_text, when
from ironcage.reach import build_store
from ironcage.reports import say_where, write_report
from ironcage.scorecards import find_bakeoff, scored
from ironcage.settings import Loaded, load, on_free_ports
from ironcage.stopping import Decided
from replay.bakeoff import Plan, drawn_tasks, run_bakeoff
from replay.bakeoff import Progress as Done
from replay.cage.process import PortableCage
from replay.executors.contract import Executor
from replay.executors.local import LocalExecutor
from replay.executors.ray import RayExecutor
from replay.world.declared import with_permission
from scoring.report.files import render_json
from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.report.terminal import print_report
from scoring.scorecard import Scorecard
from trajectory.clock import SYSTEM_CLOCK, system_entropy
from trajectory.errors import OperatorError
from trajectory.ids import checked_name, new_id
from trajectory.runs import Mode
from trajectory.store import Store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Re-run tasks on other models under the same limits, and compare.",
)
Report = Annotated[Path | None, typer.Option(help="Write the report here: .html, .md or .json, by the file's ending.")]
Parameter = dict[str, float | int | str | bool]


@app.command()
def run(
    context: typer.Context,
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=UPSTREAM/MODEL, with ,wire=WIRE where it speaks another format than the tasks, and ?key=value&… "
            "for parameters, called as its format calls them; may be repeated. None for mode offline."
        ),
    ] = None,
    task: Tasks = None,
    split: Splits = None,
    tag: Tags = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="agent: the recorded command in the cage, with another model; closed_loop: the engine drives, a world "
            "answers; stepwise: each recorded context once, nothing executed; offline: the command, answered from the "
            "tape. As each task was recorded if not given."
        ),
    ] = None,
    from_step: Annotated[
        int | None,
        typer.Option(min=1, help="Go on from this recorded model step, counted from 1, in a world brought there."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="How often each candidate tries each task.")] = 1,
    seed: Seed = 0,
    name: Annotated[
        str | None, typer.Option("--id", help="Name of the bake-off; an interrupted one goes on under its name.")
    ] = None,
    production: Annotated[bool, typer.Option(help="Score the recorded production runs beside the candidates.")] = True,
    workspace: WorkspaceName = "shared",
    reset: Annotated[
        list[Path] | None,
        typer.Option(
            help="File or folder that agents change, such as a memory store: put back before each trial as it was when "
            "the bake-off began, one trial at a time; may be repeated."
        ),
    ] = None,
    parallel: Parallel = None,
    executor: Annotated[
        str, typer.Option(help="local: in processes of this command; ray: on the workers of a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="A running Ray cluster, auto or host:port; one is started here on loopback if not given."),
    ] = None,
    world: Worlds = None,
    allow_live: AllowLive = None,
    min_fidelity: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Report, but do not rank, runs with a smaller share of tool results that are neither missing nor "
            "possibly stale nor written by a model.",
        ),
    ] = None,
    stop_margin: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="End once every pair of candidates is decided, by a test that may look after each task: one is "
            "better, or both lie within so many points of each other.",
        ),
    ] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Run a bake-off and print its scorecard."""
    loaded = on_free_ports(load(context.obj))
    if mode is not None and mode not in get_args(Mode):
        raise OperatorError(f"--mode {mode!r} is unknown", hint=f"it is one of {', '.join(get_args(Mode))}")
    with closing(build_store(loaded)) as store:
        tasks = choose_tasks(store, task or (), splits=split or (), tags=tag or ())
    if reset and executor != "local":
        raise OperatorError("--reset is for --executor local", hint="on other machines the files are others")
    name = name or new_id(SYSTEM_CLOCK.now_s(), system_entropy(7))
    plan = Plan(
        id=checked_name("bake-off", name),
        candidates=tuple(read_candidate(entry) for entry in candidate or ()),
        tasks=tasks,
        trials=trials,
        seed=seed,
        reference="production" if production else None,
        workspace=workspace_named(workspace),
        reset=tuple(reset or ()),
        snapshot=loaded.path(loaded.settings.state_dir).resolve() / "snapshots" / name,
        world=with_permission(world or ("tape",), allow_live or ()),
        min_fidelity=min_fidelity,
        mode=cast("Mode | None", mode),
        from_step=from_step,
    )
    plan = constrained(plan, loaded)
    runs_on = _executor(loaded, plan, executor, parallel, ray_address)
    if stop_margin is not None and executor == "ray" and ray_address is None:
        raise OperatorError("--stop-margin with Ray needs a cluster that runs", hint="name it with --ray-address")
    margin = None if stop_margin is None else stop_margin / 100
    card = uvloop.run(_run(loaded, plan, runs_on, margin, quiet=as_json))
    _show(card, report, as_json=as_json)
    missed = [row for row in card.runs if row.fault is not None and row.fault.code == "tape_miss"]
    for row in missed:
        typer.echo(f"tape miss: task {row.task}: {row.certificate.kill_evidence}", err=True)
    if missed:
        raise typer.Exit(1)


def _executor(loaded: Loaded, plan: Plan, kind: str, parallel: float | None, ray_address: str | None) -> Executor:
    if kind == "local":
        return LocalExecutor(cpus=parallel)
    if kind != "ray":
        raise OperatorError(f"--executor {kind!r} is unknown", hint="it is local or ray")
    return RayExecutor(
        trials_opener(loaded, plan),
        workers=int(parallel) if parallel is not None else None,
        address=ray_address,
        one_machine=loaded.settings.store.startswith("sqlite"),
    )


def _decided(store: Store, plan: Plan, margin: float) -> Decided:
    names = [candidate.name for candidate in plan.candidates]
    return Decided(store, drawn_tasks(plan), names, plan.trials, margin=margin)


async def _run(loaded: Loaded, plan: Plan, executor: Executor, margin: float | None, *, quiet: bool) -> Scorecard:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    async with open_doors(loaded) as doors:
        with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
            line = bar.add_task("runs", total=None)

            def progress(done: Done) -> None:
                bar.update(line, completed=done.done, total=done.total)

            bakeoff = await run_bakeoff(
                plan,
                BakeoffHouse(doors),
                cage=PortableCage(),
                executor=executor,
                progress=progress,
                enough=None if margin is None else _decided(doors.store, plan, margin),
            )
        return await asyncio.to_thread(scored, doors.store, bakeoff)


@app.command()
def report(
    context: typer.Context,
    bakeoff: Annotated[str | None, typer.Argument(help="Its id; the newest if not given.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Decide for one situation: cost-sensitive, mission-critical, rapid-prototyping or strict-compliance."
        ),
    ] = None,
    uncapped: Annotated[
        str | None, typer.Option(help="Id of a bake-off of the same tasks without limits, to stand beside this one.")
    ] = None,
    leaderboard: Annotated[
        Path | None, typer.Option(help="Published figures as context: CSV, or JSON lines as tau2-bench publishes them.")
    ] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Score a finished bake-off again and print or write its report, with a decision if a preset is named."""
    chosen = preset_named(preset) if preset is not None else None
    if chosen is None and (uncapped or leaderboard):
        raise OperatorError("--uncapped and --leaderboard belong to a decision", hint="name one with --preset")
    with closing(build_store(load(context.obj))) as store:
        card = scored(store, find_bakeoff(store, bakeoff))
        if chosen is not None:
            beside = find_bakeoff(store, uncapped) if uncapped is not None else None
            card = decided(store, card, chosen, uncapped=beside, leaderboard=leaderboard)
    _show(card, report, as_json=as_json)


app.command()(compare)
app.command()(sweep)
app.command()(variants)
app.command()(power)
app.command()(schema)


@app.command("list")
def list_bakeoffs(context: typer.Context) -> None:
    """List the bake-offs that are kept, the newest first."""
    with closing(build_store(load(context.obj))) as store:
        found = store.bakeoffs()
    rows = [(b.id, when(b.created_at), ", ".join(c.name for c in b.candidates), len(b.tasks), b.trials) for b in found]
    print_table(("bake-off", "began (UTC)", "candidates", "tasks", "trials"), rows)


def _show(card: Scorecard, report: Path | None, *, as_json: bool) -> None:
    if report is not None:
        _write(card, report)
    if as_json:
        print_text(render_json(card))
        return
    print_report(card, Console())
    if report is not None:
        say_where(report)


def _write(card: Scorecard, file: Path) -> None:
    renderers = {".html": render_html, ".md": render_markdown, ".json": render_json}
    render = renderers.get(file.suffix)
    if render is None:
        raise OperatorError(f"--report {file}: unknown ending", hint=f"use one of {', '.join(renderers)}")
    write_report(file, render(card))
