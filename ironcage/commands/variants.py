"""`ironcage bakeoff variants`: the same tasks under several system prompts, on several models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated

import typer
import uvloop

from ironcage.assembly import open_doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.candidates import read_candidate
from ironcage.choosing import choose_tasks
from ironcage.commands.choices import (
    AllowLive,
    HtmlReport,
    Parallel,
    Seed,
    Splits,
    Tags,
    Tasks,
    WorkspaceName,
    Worlds,
    workspace_named,
)
from ironcage.conditions import constrained
from ironcage.output import Json, print_json
from ironcage.reach import build_store
from ironcage.reports import print_tables, require_html, say_where, write_report
from ironcage.settings import Loaded, load, on_free_ports
from ironcage.varying import read_cells, read_variants_of
from replay.bakeoff import Plan, run_bakeoff
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.variants import VariantPlan, variant_plans
from replay.world.declared import with_permission
from scoring.report.variants import VariantsReport, render_variants, variant_tables
from trajectory.clock import SYSTEM_CLOCK, system_entropy
from trajectory.errors import OperatorError
from trajectory.ids import new_id
from trajectory.runs import Mode

_MODES: tuple[Mode, ...] = ("agent", "closed_loop")


def variants(
    context: typer.Context,
    candidate: Annotated[list[str], typer.Option(help="As for `bakeoff run`; may be repeated.")],
    variant: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE: a whole system prompt; may be repeated.")
    ] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=EDIT: the recorded prompt with drop-role, reorder, reorder-paragraphs, reorder-sentences or "
            "replace:FILE (lines `old text: new text`), several joined by +; may be repeated."
        ),
    ] = None,
    task: Tasks = None,
    split: Splits = None,
    tag: Tags = None,
    mode: Annotated[
        str | None, typer.Option(help="agent or closed_loop, as for `bakeoff run`. As recorded if not given.")
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="How often each candidate tries each task, under each prompt.")
    ] = 1,
    seed: Seed = 0,
    name: Annotated[
        str | None, typer.Option("--id", help="Name of it all; what was interrupted goes on under its name.")
    ] = None,
    workspace: WorkspaceName = "shared",
    parallel: Parallel = None,
    world: Worlds = None,
    allow_live: AllowLive = None,
    report: HtmlReport = None,
    as_json: Json = False,
) -> None:
    """Tell the effect of the system prompt from that of the model: every model runs every task under every prompt."""
    loaded = on_free_ports(load(context.obj))
    require_html(report)
    if mode is not None and mode not in _MODES:
        raise OperatorError(f"--mode {mode!r} takes no other prompt", hint=f"it is {' or '.join(_MODES)}")
    asked = read_variants_of(variant or (), edit or ())
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
        world=with_permission(world or ("tape",), allow_live or ()),
        mode=mode,
    )
    plan = constrained(plan, loaded)
    read = uvloop.run(_vary(loaded, plan.id, variant_plans(plan, asked), parallel))
    if as_json:
        print_json(read)
    else:
        _show(read)
    if report is not None:
        write_report(report, render_variants(read))
        say_where(report)


async def _vary(loaded: Loaded, name: str, cells: Sequence[VariantPlan], parallel: float | None) -> VariantsReport:
    async with open_doors(loaded) as doors:
        for cell in cells:
            plan = cell.plan
            runs = len(plan.tasks) * len(plan.candidates) * plan.trials
            typer.echo(f"prompt {cell.variant.name} ({cell.variant.source}): {runs} runs", err=True)
            executor = LocalExecutor(cpus=parallel)
            await run_bakeoff(plan, BakeoffHouse(doors), cage=PortableCage(), executor=executor)
        return await asyncio.to_thread(read_cells, doors.store, name, cells)


def _show(read: VariantsReport) -> None:
    print_tables(variant_tables(read))
    for sentence in read.read.conclusions:
        typer.echo(sentence)
    if read.left_out:
        typer.echo(f"! {read.left_out}")
