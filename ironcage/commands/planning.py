"""`ironcage bakeoff power` and `schema`: what a bake-off could see before it runs, and what its report is made of."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from ironcage.output import Json, print_json, print_table
from ironcage.reach import build_store
from ironcage.scorecards import find_bakeoff, scored
from ironcage.settings import load
from scoring.planning import Design, Resemblance, designs, resemblance_of
from scoring.scorecard import Scorecard
from trajectory.errors import OperatorError


def power(
    context: typer.Context,
    tasks: Annotated[int | None, typer.Option(min=1, help="How many tasks; those in the store if not given.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials of each task, at most.")] = 5,
    rate: Annotated[float, typer.Option(min=0.01, max=0.99, help="Success rate that is expected.")] = 0.5,
    icc: Annotated[
        float, typer.Option(min=0, max=1, help="How much trials of one task resemble each other; 0.4 on tau-bench.")
    ] = 0.4,
    like: Annotated[
        str | None, typer.Option(help="Take rate and resemblance from this bake-off, or from the newest: newest.")
    ] = None,
    difference: Annotated[
        float | None, typer.Option(min=0.1, max=100, help="Also say how many tasks it takes to see so many points.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say, before a bake-off runs, the smallest difference between two candidates that it would see."""
    assumed = Resemblance(rate=rate, icc=icc)
    with closing(build_store(load(context.obj))) as store:
        known = len(store.tasks()) if tasks is None else tasks
        if like is not None:
            card = scored(store, find_bakeoff(store, None if like == "newest" else like))
            assumed = _known(resemblance_of(card.runs), like)
    if not known:
        raise OperatorError("there are no tasks yet", hint="say how many there will be with --tasks")
    found = designs(assumed, known, trials, None if difference is None else difference / 100)
    if as_json:
        print_json({"rate": assumed.rate, "icc": assumed.icc, "designs": found})
        return
    columns = ("tasks", "trials", "smallest difference, points", "if tasks are equally hard for both", "tasks needed")
    print_table(columns, [_row(one) for one in found])
    typer.echo(
        f"at 5 % and a power of 80 %, for a success rate near {assumed.rate:.2f} and an ICC of {assumed.icc:.2f}"
    )


def schema() -> None:
    """Print the JSON Schema of the report's JSON form."""
    print_json(Scorecard.model_json_schema(mode="serialization"))


def _known(found: Resemblance | None, like: str) -> Resemblance:
    if found is None:
        hint = "name one in which tasks were tried several times, or give --rate and --icc"
        raise OperatorError(f"bake-off {like} does not say how much trials resemble each other", hint=hint)
    return found


def _row(one: Design) -> tuple[object, ...]:
    points, alike = (f"{100 * value:.1f}" for value in (one.detectable, one.detectable_if_alike))
    return one.tasks, one.trials, points, alike, one.tasks_needed
