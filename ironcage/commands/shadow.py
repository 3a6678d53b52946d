"""`ironcage shadow`: mirror a share of what a running proxy serves to candidates, and compare step by step."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ironcage.admin_port import ask_proxy
from ironcage.output import Json, print_json, print_table
from ironcage.settings import Loaded, load
from ironcage.shadowing import ShadowStatus
from scoring.report.tables import estimate_cell
from trajectory.errors import OperatorError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Mirror a share of live traffic to candidates and compare step by step.",
)
_UNITS = {"operation": "operations", "trajectory": "trajectories"}


@app.command()
def start(
    context: typer.Context,
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="As in `bakeoff run`; may be repeated. Those of the configuration if not given."),
    ] = None,
    share: Annotated[float | None, typer.Option(help="Share of what is sampled, between 0 and 1.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="operation: single steps; trajectory: each turn of a sampled trajectory.")
    ] = None,
    budget_usd: Annotated[float | None, typer.Option(help="Most that it may cost, at list prices.")] = None,
    max_per_s: Annotated[float | None, typer.Option(help="Most mirrored requests per second.")] = None,
    as_json: Json = False,
) -> None:
    """Begin to mirror what the running proxy serves; what is not given stands in the configuration, or is a default."""
    loaded = load(context.obj)
    configured = loaded.settings.shadow.model_dump() if loaded.settings.shadow is not None else {}
    given = {
        "candidates": candidate or None,
        "share": share,
        "unit": unit,
        "budget_usd": budget_usd,
        "max_per_s": max_per_s,
    }
    wanted = {**configured, **{name: value for name, value in given.items() if value is not None}}
    if not wanted.get("candidates"):
        raise OperatorError("there is no candidate", hint="for example --candidate small=openai/gpt-x-mini")
    _print(_ask(loaded, "POST", wanted), as_json=as_json)


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """Show what was mirrored, what it cost, and how far candidates agree with production."""
    _print(_ask(load(context.obj), "GET"), as_json=as_json)


@app.command()
def stop(context: typer.Context, as_json: Json = False) -> None:
    """End the mirroring; what was compared is kept, and `bakeoff report` scores it."""
    _print(_ask(load(context.obj), "DELETE"), as_json=as_json)


def _ask(loaded: Loaded, method: str, body: dict[str, Any] | None = None) -> ShadowStatus:
    return ShadowStatus.model_validate_json(ask_proxy(loaded, method, "/api/shadow", body))


def _print(found: ShadowStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    counts = found.counts
    if found.id is None or found.settings is None:
        typer.echo("no shadow was started")
        return
    budget = "" if counts.budget_usd is None else f" of {counts.budget_usd:g}"
    state = "running" if found.running else "stopped"
    typer.echo(f"{found.id}: {state}, share {found.settings.share:g} of {_UNITS[found.settings.unit]}")
    typer.echo(f"heard {counts.heard}, sampled {counts.sampled}, compared {counts.compared}, failed {counts.failed}")
    typer.echo(
        f"waiting {counts.waiting}, dropped: queue full {counts.dropped_queue_full}, "
        f"over budget {counts.dropped_over_budget}; spent {counts.spent_usd:.4f}{budget} USD"
    )
    columns = ("candidate", "steps", "same action", "95 %", "latency difference s", "95 %", "violations")
    rows = []
    for row in found.candidates:
        same, slower = estimate_cell(row.agreement, 1, as_percent=True), estimate_cell(row.latency_difference_s, 3)
        refused = ", ".join(f"{code} {number}" for code, number in row.violations.items())
        rows.append((row.candidate, row.steps, same.text, same.below, slower.text, slower.below, refused))
    print_table(columns, rows)
