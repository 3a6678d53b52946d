"""A bake-off: candidates x tasks x trials through the same gateway, under the same constraints.

Several may run together, in one schedule: they differ in one thing each (the prompt, a limit), and in nothing else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from proxy.environment import without_approvals_token
from replay.cage.contract import Cage
from replay.conditions import Around, Conditions, Slot
from replay.dataset import dataset_of
from replay.executors.contract import Executor, Job
from replay.fingerprint import digest_of, fingerprint_of, fingerprint_parts, require_equal
from replay.fork import fork_worlds
from replay.house import House
from replay.loop import Pause
from replay.model_tape import recordings_digest
from replay.plan import Plan
from replay.preparing import prepared
from replay.production import production_candidate, production_run, production_run_id, recorded_runs
from replay.reset import Reset, take_snapshot
from replay.schedule import drawn_tasks, rounds, schedule, told_order
from replay.trials import CagedTrials
from replay.ways import IN_CAGE, files_change_in, mode_of
from replay.world.contract import Snapshot
from replay.world.declared import declared_kinds, open_worlds
from trajectory.clock import SYSTEM_CLOCK, Clock, Entropy, system_entropy
from trajectory.errors import OperatorError
from trajectory.runs import Bakeoff, Run


@dataclass(frozen=True, slots=True)
class Progress:
    """`run` has just been stored; it is the `done`-th of `total`, those of an earlier start included."""

    done: int
    total: int
    run: Run


@dataclass(frozen=True, slots=True)
class Begun:
    """Bake-offs in the order of their plans, and by their id what their runs have in common."""

    bakeoffs: tuple[Bakeoff, ...]
    conditions: Mapping[str, Conditions]
    reset: Reset | None


OnProgress = Callable[[Progress], None]
Enough = Callable[[Sequence[Run]], str | None]
"""Asked with all runs so far: why no more are needed, or None."""


async def run_bakeoff(
    plan: Plan,
    house: House,
    *,
    cage: Cage,
    executor: Executor,
    progress: OnProgress = lambda _: None,
    clock: Clock = SYSTEM_CLOCK,
    entropy: Entropy = system_entropy,
    pause: Pause = asyncio.sleep,
    enough: Enough | None = None,
) -> Bakeoff:
    """Prepare one plan and run it."""
    ready = await asyncio.to_thread(prepared, plan, house.store)
    around = Around(house, cage, clock, entropy, pause)
    (bakeoff,) = await run_together([ready], around, executor, progress=progress, enough=enough)
    return bakeoff


async def run_together(
    plans: Sequence[Plan],
    around: Around,
    executor: Executor,
    *,
    progress: OnProgress = lambda _: None,
    enough: Enough | None = None,
) -> tuple[Bakeoff, ...]:
    """Run what is not stored yet of prepared plans, each run stored as soon as it is over, and return their headers.

    With `enough` it goes task by task, in the order drawn, asks after each few, and ends with the first reason it gets.

    Resumable: runs of the same id that finished under the same fingerprint are kept; those with a harness error are
    run again. OperatorError if a plan cannot be carried out or if its bake-off was begun under other conditions.
    """
    begun = await begin(plans, around)
    try:
        async with executor:
            reason = await _run_all(plans, begun, executor, progress, enough)
    finally:
        if begun.reset is not None:
            await asyncio.to_thread(begun.reset.restore)
    if begun.reset is not None:
        await asyncio.to_thread(begun.reset.discard)
    if not reason:
        return begun.bakeoffs
    stopped = tuple(one.model_copy(update={"stopped": reason}) for one in begun.bakeoffs)
    await asyncio.to_thread(_put_all, around.house, stopped)
    return stopped


async def begin(plans: Sequence[Plan], around: Around) -> Begun:
    """Prepared plans, their headers stored; the same again for ones that were begun. What is reset is the same in all.

    OperatorError if a plan cannot be carried out or if its bake-off was begun under other conditions.
    """
    first = plans[0]
    reset = await asyncio.to_thread(take_snapshot, first.reset, first.snapshot) if first.reset else None
    together = f" of {len(plans)} bake-offs that run together" if len(plans) > 1 else ""
    order = told_order(first.seed, f"every candidate{together}")
    try:
        made = [await asyncio.to_thread(_begin, plan, around, reset, order) for plan in plans]
    except OperatorError:
        if reset is not None and reset.is_new:
            await asyncio.to_thread(reset.discard)
        raise
    bakeoffs = tuple(bakeoff for bakeoff, _ in made)
    await asyncio.to_thread(_put_all, around.house, bakeoffs)
    return Begun(bakeoffs, {conditions.bakeoff: conditions for _, conditions in made}, reset)


def _put_all(house: House, bakeoffs: Sequence[Bakeoff]) -> None:
    for bakeoff in bakeoffs:
        house.store.put_bakeoff(bakeoff)


def _begin(plan: Plan, around: Around, reset: Reset | None, order: str) -> tuple[Bakeoff, Conditions]:
    house = around.house
    before = next((one for one in house.store.bakeoffs() if one.id == plan.id), None)
    created_at = around.clock.now_s() if before is None else before.created_at
    worlds = _worlds(plan, house, created_at)
    parts = _parts(plan, house, worlds, reset)
    if before is not None:
        require_equal(plan.id, before.fingerprint_parts, parts)
    bakeoff = _header(plan, house, parts, created_at, order)
    conditions = Conditions(
        bakeoff=plan.id,
        fingerprint=bakeoff.fingerprint,
        parts=dict(house.conditions()),
        limits=plan.limits,
        house=house,
        cage=around.cage,
        env=without_approvals_token(os.environ if plan.env is None else plan.env),
        worlds=worlds,
        min_fidelity=plan.min_fidelity,
        from_step=plan.from_step or 1,
        tape_tools=plan.tape_tools,
        prompts=plan.prompts,
        approvals=plan.approvals,
        workspace=plan.workspace,
        reset=reset,
        reset_in=files_change_in(plan.world),
        max_steps=plan.max_steps,
        clock=around.clock,
        entropy=around.entropy,
        pause=around.pause,
    )
    return bakeoff, conditions


def _worlds(plan: Plan, house: House, created_at: float) -> Mapping[str, Snapshot]:
    looped = [task for task in plan.tasks if mode_of(task, plan.mode) == "closed_loop"]
    worlds = open_worlds(plan.world, house.store, looped, before_s=created_at, house=house)
    return worlds if plan.from_step is None else fork_worlds(house.store, looped, worlds, plan.from_step)


def _parts(plan: Plan, house: House, worlds: Mapping[str, Snapshot], reset: Reset | None) -> dict[str, str]:
    """Those of the fingerprint."""
    loop = {
        "max_steps": plan.max_steps,
        "workspace": plan.workspace,
        "min_fidelity": plan.min_fidelity,
        "mode": plan.mode,
        "tape_tools": plan.tape_tools,
    }
    parts = fingerprint_parts(
        tasks=plan.tasks, worlds=worlds, limits=plan.limits, conditions=house.conditions(), loop=loop
    )
    if plan.mode == "offline":
        answers = {task.id: recordings_digest(house.store, task, tape_tools=plan.tape_tools) for task in plan.tasks}
        parts["recorded_answers"] = digest_of(answers)
    if reset is not None:
        parts["reset"] = reset.digest
    if plan.approvals != "recorded":
        parts["approvals"] = digest_of(plan.approvals)
    if plan.prompts:
        parts["prompt"] = digest_of({task: swap.texts for task, swap in plan.prompts.items()})
    return parts


def _header(plan: Plan, house: House, parts: Mapping[str, str], now_s: float, order: str) -> Bakeoff:
    return Bakeoff(
        id=plan.id,
        created_at=now_s,
        candidates=plan.candidates,
        tasks=tuple(task.id for task in plan.tasks),
        trials=plan.trials,
        seed=plan.seed,
        fingerprint=fingerprint_of(parts),
        fingerprint_parts=dict(parts),
        reference=plan.reference,
        weights=dict(plan.weights),
        tool_kinds=declared_kinds(plan.world),
        constraints=dict(plan.constraints),
        dataset=dataset_of(plan.tasks, conditions=house.conditions(), seed=plan.seed),
        mode=plan.mode,
        from_step=plan.from_step,
        order=order,
        left_out=dict(plan.left_out),
    )


async def _run_all(
    plans: Sequence[Plan], begun: Begun, executor: Executor, progress: OnProgress, enough: Enough | None
) -> str:
    """Why it ended before all runs were made; empty if they were."""
    store = next(iter(begun.conditions.values())).house.store
    ids = [plan.id for plan in plans]

    def stored() -> list[Run]:
        return [run for one in ids for run in store.runs(one)]

    kept = {run.id for run in await asyncio.to_thread(stored) if _is_kept(run, begun.conditions[run.bakeoff])}
    slots = schedule(*plans)
    production = await asyncio.to_thread(
        lambda: [one for plan in plans for one in _production(plan, begun.conditions[plan.id])]
    )
    done = sum(slot.run in kept for slot in slots) + sum(run_id in kept for run_id, _ in production)
    total = len(slots) + len(production)

    async def keep(run: Run) -> None:
        nonlocal done
        await asyncio.to_thread(store.put_runs, [run])
        done += 1
        progress(Progress(done, total, run))

    for run_id, make in production:
        if run_id not in kept:
            await keep(await make())
    jobs = [_job(slot, begun.conditions[slot.bakeoff]) for slot in slots if slot.run not in kept]
    trials = CagedTrials(begun.conditions)
    parts = [jobs] if enough is None else rounds(jobs, drawn_tasks(*plans))
    for part in parts:
        if enough is not None and (reason := enough(await asyncio.to_thread(stored))) is not None:
            return reason
        await executor.run(part, trials, keep)
    return ""


def _is_kept(run: Run, conditions: Conditions) -> bool:
    return run.status == "finished" and run.fingerprint == conditions.fingerprint


def _job(slot: Slot, conditions: Conditions) -> Job:
    """A loop waits for its model most of the time, and its process is this one."""
    in_cage = slot.mode in IN_CAGE
    return Job(
        slot,
        memory_mb=(conditions.limits.memory_mb or 0.0) if in_cage else 0.0,
        cpus=1.0 if in_cage else 0.1,
        is_exclusive=conditions.reset is not None and slot.mode in conditions.reset_in,
    )


def _production(plan: Plan, conditions: Conditions) -> Iterator[tuple[str, Callable[[], Awaitable[Run]]]]:
    if plan.reference is None:
        return
    candidate = production_candidate(plan.reference, plan.tasks)
    for task in plan.tasks:
        recordings = recorded_runs(conditions.house.store, task, candidate.model)
        for trial, recorded in enumerate(recordings):
            make = partial(production_run, task, recorded, candidate, trial, conditions)
            yield production_run_id(plan.id, candidate.name, recorded.id), make
