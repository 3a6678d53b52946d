"""`ironcage bakeoff sweep`: the same tasks with one limit after another lifted step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, get_args

import typer
import uvloop

from ironcage.assembly import Doors, open_doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.candidates import read_candidate
from ironcage.choosing import choose_tasks
from ironcage.commands.choices import (
    HtmlReport,
    Parallel,
    Seed,
    Splits,
    Tags,
    Tasks,
    WorkspaceName,
    workspace_named,
)
from ironcage.conditions import constrained
from ironcage.output import Json, print_json
from ironcage.reach import build_store
from ironcage.reports import print_tables, require_html, say_where, write_report
from ironcage.settings import Loaded, load, on_free_ports
from ironcage.sweeping import Reading, joined, read_climb
from replay.bakeoff import Plan, run_bakeoff
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.sweep import LADDER, Rung, SweptResource, climb, swept
from scoring.noise.plateau import MARGIN
from scoring.report.sweep import SweepReport, heading, render_sweep, sweep_tables
from trajectory.clock import SYSTEM_CLOCK, system_entropy
from trajectory.errors import OperatorError
from trajectory.ids import new_id
from trajectory.runs import Run
from trajectory.store import Store

DEFAULT_LADDER = ",".join("uncapped" if step is None else f"{step:g}" for step in LADDER)


def sweep(
    context: typer.Context,
    candidate: Annotated[list[str], typer.Option(help="As for `bakeoff run`; may be repeated.")],
    task: Tasks = None,
    split: Splits = None,
    tag: Tags = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(help="memory, cpu_time or wall_time; may be repeated. All that are limited if not given."),
    ] = None,
    ladder: Annotated[
        str, typer.Option(help="Multiples of the limit, rising from 1; uncapped may be the last.")
    ] = DEFAULT_LADDER,
    everything: Annotated[
        bool, typer.Option("--all", help="Every task at every step, also where no run hit the limit one step below.")
    ] = False,
    margin: Annotated[
        float, typer.Option(min=0, max=100, help="Points of success rate that do not matter between two steps.")
    ] = 100 * MARGIN,
    trials: Annotated[int, typer.Option(min=3, help="How often each candidate tries each task, at each step.")] = 3,
    seed: Seed = 0,
    name: Annotated[
        str | None, typer.Option("--id", help="Name of the sweep; an interrupted one goes on under its name.")
    ] = None,
    workspace: WorkspaceName = "shared",
    parallel: Parallel = None,
    report: HtmlReport = None,
    as_json: Json = False,
) -> None:
    """Find how much of a limit tasks need: which fit, which need headroom, which would take whatever they get."""
    loaded = on_free_ports(load(context.obj))
    require_html(report)
    with closing(build_store(loaded)) as store:
        tasks = choose_tasks(store, task or (), splits=split or (), tags=tag or ())
    plan = Plan(
        id=name or new_id(SYSTEM_CLOCK.now_s(), system_entropy(7)),
        candidates=tuple(read_candidate(entry) for entry in candidate),
        tasks=tasks,
        trials=trials,
        seed=seed,
        reference=None,
        workspace=workspace_named(workspace),
    )
    plan = constrained(plan, loaded)
    steps, resources = _ladder(ladder), _resources(resource or (), plan)
    read = uvloop.run(
        _sweep(loaded, plan, resources, steps, everything=everything, margin=margin / 100, parallel=parallel)
    )
    _show(read, report, as_json=as_json)


async def _sweep(
    loaded: Loaded,
    plan: Plan,
    resources: Sequence[SweptResource],
    ladder: Sequence[float | None],
    *,
    everything: bool,
    margin: float,
    parallel: float | None,
) -> SweepReport:
    """Candidate by candidate: what one of them hits is no reason to run another again."""
    readings: list[Reading] = []
    async with open_doors(loaded) as doors:

        async def bake(rung: Rung) -> Sequence[Run]:
            step = "uncapped" if rung.multiple is None else f"{rung.multiple:g}x"
            what = f"{rung.plan.candidates[0].name}, {rung.resource.replace('_', ' ')} {step}"
            typer.echo(f"{what}: {len(rung.plan.tasks)} tasks", err=True)
            return await _bake(doors, rung.plan, parallel)

        for candidate in plan.candidates:
            alone = replace(plan, id=f"{plan.id}.{candidate.name}", candidates=(candidate,))
            climbed = await climb(alone, resources, bake, ladder=ladder, everything=everything)
            readings.append(await asyncio.to_thread(read_climb, doors.store, plan.limits, climbed, margin=margin))
    return joined(plan.id, readings)


async def _bake(doors: Doors, plan: Plan, parallel: float | None) -> Sequence[Run]:
    await run_bakeoff(plan, BakeoffHouse(doors), cage=PortableCage(), executor=LocalExecutor(cpus=parallel))
    return await asyncio.to_thread(_runs, doors.store, plan)


def _runs(store: Store, plan: Plan) -> list[Run]:
    tasks = {task.id for task in plan.tasks}
    return [run for run in store.runs(plan.id) if run.task in tasks]


def _resources(names: Sequence[str], plan: Plan) -> tuple[SweptResource, ...]:
    known = get_args(SweptResource)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OperatorError(f"--resource {unknown[0]!r} is unknown", hint=f"it is one of {', '.join(known)}")
    limited = swept(plan.limits)
    if not limited:
        raise OperatorError("no limit is set that could be swept", hint="set memory_limit_mb or cpu_timeout_ms")
    return tuple(resource for resource in known if resource in names) if names else limited


def _ladder(text: str) -> list[float | None]:
    try:
        return [
            None if part.strip() == "uncapped" else float(part.strip().removesuffix("x")) for part in text.split(",")
        ]
    except ValueError:
        raise OperatorError(f"--ladder {text!r} is no ladder", hint="for example 1,1.5,3,5,uncapped") from None


def _show(read: SweepReport, file: Path | None, *, as_json: bool) -> None:
    if file is not None:
        write_report(file, render_sweep(read))
    if as_json:
        print_json(read)
        return
    for one in read.sweeps:
        typer.echo(heading(one))
        print_tables(sweep_tables(one))
        for sentence in one.sweep.conclusions:
            typer.echo(sentence)
    if read.carried:
        typer.echo(f"! {read.carried}")
    if file is not None:
        say_where(file)
