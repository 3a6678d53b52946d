"""`ironcage bakeoff compare`: production against what a bake-off measured of its candidate."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from ironcage.drifting import Production, drift_of
from ironcage.output import Json, print_json, print_table
from ironcage.reach import build_store
from ironcage.scorecards import find_bakeoff
from ironcage.settings import load
from scoring.drift import SUCCESS, Drift, Measured, Thresholds
from scoring.estimates import Estimate
from scoring.wording import interval_text, number, p_text, percent
from trajectory.errors import OperatorError
from trajectory.trajectory import OutcomeLabel

DRIFTED = 1


class Outcome(StrEnum):
    passed = "passed"
    failed = "failed"


_LABELS: dict[Outcome, OutcomeLabel] = {Outcome.passed: "passed", Outcome.failed: "failed"}


def compare(
    context: typer.Context,
    bakeoff: Annotated[str | None, typer.Argument(help="Its id; the newest if not given.")] = None,
    candidate: Annotated[
        str | None, typer.Option(help="The candidate that went into production; not needed if there was only one.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Recorded from this time on, such as 2026-11-20 or 2026-11-20T14:00 (UTC); since the "
            "bake-off if not given."
        ),
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Only trajectories of this agent.")] = None,
    model: Annotated[str | None, typer.Option(help="Only trajectories that asked this model.")] = None,
    label: Annotated[Outcome | None, typer.Option(help="Only trajectories that were labelled so.")] = None,
    success_drop: Annotated[float, typer.Option(min=0, max=100, help="Points of success rate that may be lost.")] = 5.0,
    increase: Annotated[
        float, typer.Option(min=0, help="Percent by which retries, tools, tokens, cost and latency may grow.")
    ] = 20.0,
    as_json: Json = False,
) -> None:
    """Hold production against a bake-off's candidate; exit code 1 if it is shown to have drifted."""
    thresholds = Thresholds(success_drop=success_drop / 100, increase=increase / 100)
    with closing(build_store(load(context.obj))) as store:
        baked = find_bakeoff(store, bakeoff)
        began = _unix_s(since) if since is not None else baked.created_at
        what = Production(began, agent, model, _LABELS[label] if label else None)
        drift = drift_of(store, baked, candidate, what, thresholds)
    if as_json:
        print_json(drift)
    else:
        _print(drift)
    if drift.has_drifted:
        raise typer.Exit(DRIFTED)


def _unix_s(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        hint = "write it as 2026-11-20 or 2026-11-20T14:00"
        raise OperatorError(f"--since {text!r} is no date", hint=hint) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _print(drift: Drift) -> None:
    columns = ("measure", "bake-off", "production", "difference", "95 % interval", "p Holm", "status")
    print_table(columns, [_row(one) for one in drift.measures])
    pairing = "tasks paired" if drift.is_paired else "tasks not paired"
    typer.echo(f"{drift.runs_before} runs of {drift.candidate} against {drift.runs_after} of production, {pairing}")
    for caution in drift.cautions:
        typer.echo(f"! {caution}")
    typer.echo(drift.conclusion)


def _row(one: Measured) -> tuple[str, ...]:
    is_share = one.name == SUCCESS

    def shown(estimate: Estimate) -> str:
        return percent(estimate.value) if is_share else number(estimate.value)

    interval = interval_text(one.difference, as_percent=is_share)
    return (
        one.name, shown(one.before), shown(one.after), shown(one.difference), interval, p_text(one.p_holm), one.status
    )  # fmt: skip
