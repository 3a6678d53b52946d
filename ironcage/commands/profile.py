"""`ironcage profile`: measure what production used, and suggest limits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import psutil
import typer

from ironcage.output import Json, print_json, print_table, print_text, written_new
from ironcage.profiling import Measure, Profile, Used, profile, used
from ironcage.reach import build_store
from ironcage.settings import load
from policies.building import spend_budget
from policies.spend import SpendBudget
from trajectory.errors import OperatorError
from trajectory.runs import Run
from trajectory.store import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MOST = 100_000
_NO_LIMIT_USD = 1e9


@app.command("profile")
def suggest(
    context: typer.Context,
    task: Annotated[str | None, typer.Option(help="Only trajectories of this task.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the constraints here.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file if there is one.")] = False,
    as_json: Json = False,
) -> None:
    """Measure limits from recorded production and this machine, and suggest a constraints file.

    Trajectories that are labelled failed do not count. Without -o the file goes to standard output and the
    measures to standard error.
    """
    loaded = load(context.obj)
    with closing(build_store(loaded)) as store:
        spend = loaded.settings.policies.spend.model_copy(update={"per": "trajectory", "unpriced": "refuse"})
        amounts, left_out = _amounts(store, task, spend_budget(_NO_LIMIT_USD, spend))
        if not amounts:
            raise OperatorError(
                "no live or imported trajectory is recorded" + (f" of task {task}" if task else ""),
                hint="record some first: `ironcage serve`, then `ironcage run -- CMD`",
            )
        found = profile(
            amounts,
            _runs(store, task),
            count=loaded.settings.policies.egress.count,
            memory_bytes=psutil.virtual_memory().total,
            cpus=os.cpu_count() or 1,
            left_out=left_out,
        )
    text = json.dumps({"evaluation_config": found.constraints.model_dump(mode="json", exclude_none=True)}, indent=2)
    if output is not None:
        written_new(output, text + "\n", replace=force)
    if as_json:
        print_json(found)
        return
    if output is None:
        print_text(text + "\n")
    _explain(found)
    if output is not None:
        typer.echo(f"wrote {output}", err=True)


def _amounts(store: Store, task: str | None, budget: SpendBudget) -> tuple[list[Used], int]:
    summaries = [one for source in ("live", "imported") for one in store.find(task=task, source=source, limit=_MOST)]
    counted = [one for one in summaries if one.attempts and one.label != "failed"]
    failed = sum(one.label == "failed" for one in summaries)
    return [used(store.trajectory(one.id), budget) for one in counted], failed


def _runs(store: Store, task: str | None) -> Iterator[Run]:
    for bakeoff in store.bakeoffs():
        yield from (run for run in store.runs(bakeoff.id) if task in (None, run.task))


def _explain(found: Profile) -> None:
    columns = (
        "limit",
        "measured",
        "n",
        "median",
        "95th percentile",
        "largest",
        "suggested",
        "method",
        "chance of more than the largest",
    )
    print_table(columns, [_row(measure) for measure in found.measures], err=True)
    left_out = f"; {found.left_out} labelled failed were left out" if found.left_out else ""
    typer.echo(f"measured over {found.trajectories} trajectories{left_out}", err=True)
    if found.tools_called:
        typer.echo(f"called, and so allowed: {', '.join(found.tools_called)}", err=True)
    if found.tools_only_offered:
        typer.echo(f"offered and never called, and so not allowed: {', '.join(found.tools_only_offered)}", err=True)
    typer.echo(found.room, err=True)
    for sentence in found.unknown:
        typer.echo(f"not known: {sentence}", err=True)


def _row(measure: Measure) -> tuple[object, ...]:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g} {measure.unit}".strip()

    return (
        measure.key, measure.what, measure.n, shown(measure.p50), shown(measure.p95), shown(measure.largest),
        shown(measure.suggested), measure.method, f"{measure.risk:.1%} a run",
    )  # fmt: skip
