"""Bake-offs carried out: plans through a running gateway, here or on a Ray cluster, with their progress on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ironcage.assembly import Doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.bakeoff_workers import trials_opener
from ironcage.settings import Loaded
from ironcage.stopping import Decided
from replay.bakeoff import Enough, run_together
from replay.bakeoff import Progress as Done
from replay.cage.process import PortableCage
from replay.conditions import Around
from replay.executors.contract import Executor
from replay.executors.local import LocalExecutor
from replay.executors.ray import RayExecutor
from replay.plan import Plan
from replay.schedule import drawn_tasks
from trajectory.runs import Bakeoff
from trajectory.store import Store


@dataclass(frozen=True, slots=True)
class Where:
    """Where runs are executed. `ray_address` None starts a cluster on this machine."""

    on_ray: bool = False
    parallel: float | None = None
    ray_address: str | None = None


async def bake(doors: Doors, plans: Sequence[Plan], where: Where, *, quiet: bool) -> tuple[Bakeoff, ...]:
    """Run prepared plans together, in one schedule. Tasks that they leave out are named on stderr."""
    for why in plans[0].left_out.values():
        typer.echo(f"left out: {why}", err=True)
    executor = executor_for(doors.loaded, plans, where)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        line = bar.add_task("runs", total=None)

        def progress(done: Done) -> None:
            bar.update(line, completed=done.done, total=done.total)

        around = Around(BakeoffHouse(doors), PortableCage())
        return await run_together(plans, around, executor, progress=progress, enough=_enough(doors.store, plans))


def executor_for(loaded: Loaded, plans: Sequence[Plan], where: Where) -> Executor:
    if not where.on_ray:
        return LocalExecutor(cpus=where.parallel)
    shared = []
    if loaded.settings.store.startswith("sqlite"):
        shared.append("the store is a file of this one")
    if plans[0].reset:
        shared.append("what is reset are files of this one")
    return RayExecutor(
        trials_opener(loaded, plans),
        workers=int(where.parallel) if where.parallel is not None else None,
        address=where.ray_address,
        one_machine=" and ".join(shared),
    )


def _enough(store: Store, plans: Sequence[Plan]) -> Enough | None:
    plan = plans[0]
    if plan.stop_margin is None:
        return None
    names = [candidate.name for candidate in plan.candidates]
    return Decided(store, drawn_tasks(plan), names, plan.trials, margin=plan.stop_margin)
