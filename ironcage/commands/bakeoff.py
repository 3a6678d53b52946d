"""`ironcage bakeoff`: re-run tasks on candidates under the same limits, score them, compare them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from ironcage.assembly import open_doors
from ironcage.baking import Where, bake
from ironcage.commands.asked import Asked, asking
from ironcage.commands.comparing import compare
from ironcage.commands.planning import power, schema
from ironcage.commands.sweeping import sweep
from ironcage.commands.variants import variants
from ironcage.deciding import decided, preset_named
from ironcage.output import Json, print_json, print_table, print_text, when
from ironcage.reach import build_store
from ironcage.reports import say_where, write_report
from ironcage.scorecards import find_bakeoff, scored
from ironcage.settings import Loaded, load, on_free_ports
from replay.plan import Plan
from scoring.report.files import render_json
from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.report.sections import SECTIONS
from scoring.report.terminal import print_report
from scoring.scorecard import Scorecard
from trajectory.errors import OperatorError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Re-run tasks on other models under the same limits, and compare.",
)
Sections = Annotated[
    list[str] | None,
    typer.Option("--section", help=f"Print this section whole; may be repeated. One of {', '.join(SECTIONS)}."),
]
Report = Annotated[Path | None, typer.Option(help="Write the report here: .html, .md or .json, by the file's ending.")]


@app.command()
@asking()
def run(
    context: typer.Context,
    asked: Asked,
    production: Annotated[bool, typer.Option(help="Score the recorded production runs beside the candidates.")] = True,
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
    margin = None if stop_margin is None else stop_margin / 100
    plan = asked.plan(loaded, reference="production" if production else None, stop_margin=margin)
    card = uvloop.run(_run(loaded, plan, asked.where, quiet=as_json))
    _show(card, report, as_json=as_json)
    missed = [row for row in card.runs if row.fault is not None and row.fault.code == "tape_miss"]
    for row in missed:
        typer.echo(f"tape miss: task {row.task}: {row.certificate.kill_evidence}", err=True)
    if missed:
        raise typer.Exit(1)


async def _run(loaded: Loaded, plan: Plan, where: Where, *, quiet: bool) -> Scorecard:
    async with open_doors(loaded) as doors:
        (bakeoff,) = await bake(doors, [plan], where, quiet=quiet)
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
    section: Sections = None,
    full: Annotated[bool, typer.Option("--full", help="Print every section.")] = False,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Score a finished bake-off again and print or write its report, with a decision if a preset is named."""
    chosen = preset_named(preset) if preset is not None else None
    if unknown := sorted(set(section or ()) - set(SECTIONS)):
        raise OperatorError(f"--section {unknown[0]!r} is unknown", hint=f"it is one of {', '.join(SECTIONS)}")
    if chosen is None and (uncapped or leaderboard):
        raise OperatorError("--uncapped and --leaderboard belong to a decision", hint="name one with --preset")
    with closing(build_store(load(context.obj))) as store:
        card = scored(store, find_bakeoff(store, bakeoff))
        if chosen is not None:
            beside = find_bakeoff(store, uncapped) if uncapped is not None else None
            card = decided(store, card, chosen, uncapped=beside, leaderboard=leaderboard)
    _show(card, report, tuple(SECTIONS) if full else section or (), as_json=as_json)


app.command()(compare)
app.command()(sweep)
app.command()(variants)
app.command()(power)
app.command()(schema)


@app.command("list")
def list_bakeoffs(context: typer.Context, as_json: Json = False) -> None:
    """List the bake-offs that are kept, the newest first."""
    with closing(build_store(load(context.obj))) as store:
        found = store.bakeoffs()
    if as_json:
        print_json(found)
        return
    rows = [
        (b.id, when(b.created_at), ", ".join(c.name for c in b.candidates), len(b.tasks), b.trials, b.mode)
        for b in found
    ]
    print_table(("bake-off", "began (UTC)", "candidates", "tasks", "trials", "mode"), rows)


def _show(card: Scorecard, report: Path | None, sections: Sequence[str] = (), *, as_json: bool) -> None:
    if report is not None:
        _write(card, report)
    if as_json:
        print_text(render_json(card))
        return
    print_report(card, Console(), sections)
    if report is not None:
        say_where(report)


def _write(card: Scorecard, file: Path) -> None:
    renderers = {".html": render_html, ".md": render_markdown, ".json": render_json}
    render = renderers.get(file.suffix)
    if render is None:
        raise OperatorError(f"--report {file}: unknown ending", hint=f"use one of {', '.join(renderers)}")
    write_report(file, render(card))
