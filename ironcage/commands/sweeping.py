"""`ironcage bakeoff sweep`: the same tasks with one limit after another lifted step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import typer
import uvloop

from ironcage.assembly import Doors, open_doors
from ironcage.baking import Where, bake
from ironcage.commands.asked import Asked, asking
from ironcage.commands.choices import HtmlReport
from ironcage.output import Json, print_json
from ironcage.reports import print_tables, require_html, say_where, write_report
from ironcage.settings import Loaded, load, on_free_ports
from ironcage.sweeping import read_sweeps
from replay.plan import Plan
from replay.sweep import LADDER, MIN_TRIALS, Rung, SweptResource, climb, swept
from scoring.noise.plateau import MARGIN
from scoring.report.sweep import SweepReport, heading, render_sweep, sweep_tables
from trajectory.errors import OperatorError
from trajectory.runs import Run
from trajectory.store import Store

DEFAULT_LADDER = ",".join("uncapped" if step is None else f"{step:g}" for step in LADDER)


@asking(trials=MIN_TRIALS)
def sweep(
    context: typer.Context,
    asked: Asked,
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
    report: HtmlReport = None,
    as_json: Json = False,
) -> None:
    """Find how much of a limit tasks need: which fit, which need headroom, which would take whatever they get."""
    loaded = on_free_ports(load(context.obj))
    require_html(report)
    plan = asked.plan(loaded)
    ladders = _Ladders(_resources(resource or (), plan), _ladder(ladder), everything, margin / 100)
    read = uvloop.run(_sweep(loaded, plan, ladders, asked.where, quiet=as_json))
    _show(read, report, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Ladders:
    resources: Sequence[SweptResource]
    steps: Sequence[float | None]
    everything: bool
    margin: float


async def _sweep(loaded: Loaded, plan: Plan, asked: _Ladders, where: Where, *, quiet: bool) -> SweepReport:
    async with open_doors(loaded) as doors:

        async def bake_rungs(rungs: Sequence[Rung]) -> list[list[Run]]:
            return await _bake(doors, rungs, where, quiet=quiet)

        climbed = await climb(plan, asked.resources, bake_rungs, ladder=asked.steps, everything=asked.everything)
        return await asyncio.to_thread(
            read_sweeps, doors.store, plan, climbed, margin=asked.margin, together=asked.everything
        )


async def _bake(doors: Doors, rungs: Sequence[Rung], where: Where, *, quiet: bool) -> list[list[Run]]:
    for rung in rungs:
        step = "uncapped" if rung.multiple is None else f"{rung.multiple:g}x"
        what = f"{rung.candidate.name}, {rung.resource.replace('_', ' ')} {step}"
        typer.echo(f"{what}: {len(rung.plan.tasks)} tasks", err=True)
    await bake(doors, [rung.plan for rung in rungs], where, quiet=quiet)
    return await asyncio.to_thread(lambda: [_runs(doors.store, rung.plan) for rung in rungs])


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
    for note in read.notes:
        typer.echo(note)
    if read.carried:
        typer.echo(f"! {read.carried}")
    if file is not None:
        say_where(file)
