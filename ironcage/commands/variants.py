"""`ironcage bakeoff variants`: the same tasks under several system prompts, on several models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
import uvloop

from ironcage.assembly import open_doors
from ironcage.baking import Where, bake
from ironcage.commands.asked import Asked, asking
from ironcage.commands.choices import HtmlReport
from ironcage.output import Json, print_json
from ironcage.reports import print_tables, require_html, say_where, write_report
from ironcage.settings import Loaded, load, on_free_ports
from ironcage.varying import read_cells, read_variants_of
from replay.variants import VariantPlan, variant_plans
from scoring.report.variants import VariantsReport, render_variants, variant_tables


@asking()
def variants(
    context: typer.Context,
    asked: Asked,
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
    report: HtmlReport = None,
    as_json: Json = False,
) -> None:
    """Tell the effect of the system prompt from that of the model: every model runs every task under every prompt."""
    loaded = on_free_ports(load(context.obj))
    require_html(report)
    prompts = read_variants_of(variant or (), edit or ())
    plan = asked.plan(loaded)
    read = uvloop.run(_vary(loaded, plan.id, variant_plans(plan, prompts), asked.where, quiet=as_json))
    if as_json:
        print_json(read)
    else:
        _show(read)
    if report is not None:
        write_report(report, render_variants(read))
        say_where(report)


async def _vary(
    loaded: Loaded, name: str, cells: Sequence[VariantPlan], where: Where, *, quiet: bool
) -> VariantsReport:
    for cell in cells:
        runs = len(cell.plan.tasks) * len(cell.plan.candidates) * cell.plan.trials
        typer.echo(f"prompt {cell.variant.name} ({cell.variant.source}): {runs} runs", err=True)
    async with open_doors(loaded) as doors:
        await bake(doors, [cell.plan for cell in cells], where, quiet=quiet)
        return await asyncio.to_thread(read_cells, doors.store, name, cells)


def _show(read: VariantsReport) -> None:
    print_tables(variant_tables(read))
    for sentence in (*read.read.conclusions, *read.notes):
        typer.echo(sentence)
    if read.left_out:
        typer.echo(f"! {read.left_out}")
