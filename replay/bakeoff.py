"""A bake-off: candidates x tasks x trials through the same gateway, under the same constraints."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from proxy.prompting import PromptSwap
from replay.cage.contract import Cage
from replay.conditions import Conditions, Slot, Workspace
from replay.dataset import dataset_of
from replay.executors.contract import Executor, Job
from replay.fingerprint import digest_of, fingerprint_of, fingerprint_parts, require_equal
from replay.fork import fork_task, fork_worlds
from replay.house import House
from replay.loop import MAX_STEPS, Pause
from replay.model_tape import recordings_digest
from replay.production import production_candidate, production_run, production_run_id, recorded_runs
from replay.reset import take_snapshot
from replay.swap.street import check_swap
from replay.task import Task
from replay.trials import CagedTrials
from replay.ways import IN_CAGE, TAPE, WITHOUT_PRODUCTION, in_mode, mode_of, obstacle
from replay.world.contract import Snapshot
from replay.world.declared import declared_kinds, open_worlds, read_worlds
from trajectory.clock import SYSTEM_CLOCK, Clock, Entropy, system_entropy
from trajectory.errors import OperatorError
from trajectory.ids import checked_name
from trajectory.runs import Bakeoff, Candidate, Dataset, Limits, Mode, Run
from trajectory.store import Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `limits`, `constraints` and `weights` come from the constraints file (`Constraints.limits()`,
    its content, its scoring section); `reference` names the recorded production runs as a candidate of their own, None
    leaves them out. `env` is the environment of agents, by default that of this process. `world` declares what answers
    the tool calls of closed loops, first to last (see replay/world/declared.py); a run with a smaller share than
    `min_fidelity` of results that are neither missing nor possibly stale is reported, not ranked. `mode` None leaves to
    each task how it is run.
    """

    id: str
    candidates: tuple[Candidate, ...]
    tasks: tuple[Task, ...]
    trials: int = 1
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    constraints: Mapping[str, object] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    reference: str | None = "production"
    workspace: Workspace = "shared"
    reset: tuple[Path, ...] = ()
    """What agents change, and what is put back before each trial from a snapshot in the folder `snapshot`."""
    snapshot: Path = Path(".ironcage/snapshot")
    max_steps: int = MAX_STEPS
    env: Mapping[str, str] | None = None
    world: tuple[str, ...] = ("tape",)
    min_fidelity: float | None = None
    mode: Mode | None = None
    from_step: int | None = None
    """The recorded model step, counted from 1, from which the engine's loop goes on; None from the beginning."""
    prompts: Mapping[str, PromptSwap] = field(default_factory=dict)
    """By task, in a bake-off of prompt variants: what agents are given in place of their own (replay/variants.py)."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`run` has just been stored; it is the `done`-th of `total`, those of an earlier start included."""

    done: int
    total: int
    run: Run


OnProgress = Callable[[Progress], None]
Enough = Callable[[Sequence[Run]], str | None]
"""Asked with all runs so far: why no more are needed, or None."""
_ROUND = 8


def check_plan(plan: Plan) -> None:
    """OperatorError if it cannot be carried out."""
    checked_name("bake-off", plan.id)
    names = [candidate.name for candidate in plan.candidates] + ([plan.reference] if plan.reference else [])
    for kind, given in (("candidate", names), ("task", [task.id for task in plan.tasks])):
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise OperatorError(f"{kind} {twice[0]!r} stands in the bake-off twice", hint="give each a name of its own")
    if not plan.candidates or not plan.tasks or plan.trials < 1:
        raise OperatorError("a bake-off needs at least one candidate, one task and one trial")
    if plan.min_fidelity is not None and not 0 <= plan.min_fidelity <= 1:
        raise OperatorError(f"the minimal fidelity {plan.min_fidelity:g} is no share", hint="it lies between 0 and 1")
    read_worlds(plan.world)


def _checked(plan: Plan) -> Plan:
    """The plan with its tasks as its mode runs them; the same again for one that is. Raises OperatorError."""
    if plan.from_step is not None:
        if plan.mode not in (None, "closed_loop"):
            hint = "leave --mode out: what follows a recorded step runs in the engine's loop"
            raise OperatorError(f"mode {plan.mode} cannot begin at a step", hint=hint)
        plan = replace(plan, mode="closed_loop")
    if plan.mode == "offline":
        if plan.candidates not in ((), (TAPE,)):
            hint = "leave the candidates out: the recorded answers stand in their place"
            raise OperatorError("an offline replay asks no model", hint=hint)
        plan = replace(plan, candidates=(TAPE,))
    check_plan(plan)
    for task in plan.tasks:
        if (why := obstacle(task, plan.mode)) is not None:
            raise OperatorError(why.what, hint=why.hint)
    for candidate in plan.candidates:
        check_swap(candidate, {task.id: task.wire for task in plan.tasks})
    tasks = tuple(in_mode(task, plan.mode) for task in plan.tasks)
    return replace(plan, tasks=tasks, reference=None if plan.mode in WITHOUT_PRODUCTION else plan.reference)


def _forked(plan: Plan, store: Store) -> Plan:
    """The same again for a plan that is."""
    if plan.from_step is None:
        return plan
    return replace(plan, tasks=tuple(fork_task(store, task, plan.from_step) for task in plan.tasks))


def schedule(plan: Plan) -> tuple[Slot, ...]:
    """All runs in randomised blocks: each block holds every candidate once, for one task and trial.

    Whatever drifts while a bake-off runs (a busy machine, a provider's bad hour) then hits all candidates alike. The
    same plan gives the same schedule.
    """
    order = random.Random(plan.seed)  # noqa: S311 (a schedule that can be repeated)
    blocks = [(trial, task) for trial in range(plan.trials) for task in plan.tasks]
    order.shuffle(blocks)
    slots: list[Slot] = []
    for trial, task in blocks:
        candidates = list(plan.candidates)
        order.shuffle(candidates)
        seed = _number(str(plan.seed), task.id, str(trial))
        for one in candidates:
            slots.append(Slot(_run_id(plan.id, task.id, one.name, trial), task, one, trial, seed, plan.mode))
    return tuple(slots)


def _run_id(bakeoff: str, task: str, candidate: str, trial: int) -> str:
    """The same for the same place in the same bake-off: this is what makes one resumable."""
    return hashlib.blake2b("\0".join((bakeoff, task, candidate, str(trial))).encode(), digest_size=13).hexdigest()


def _number(*parts: str) -> int:
    """31 bits, which every seed parameter takes."""
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=4).digest(), "big") >> 1


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
    """Run what is not stored yet, each run stored as soon as it is over, and return the bake-off's header.

    With `enough` it goes task by task, in the order drawn, asks after each few, and ends with the first reason it gets.

    Resumable: runs of the same id that finished under the same fingerprint are kept; those with a harness error are
    run again. OperatorError if the plan cannot be carried out or if the bake-off was begun under other conditions.
    """
    plan = await asyncio.to_thread(_forked, _checked(plan), house.store)
    bakeoff, conditions = await begin(plan, house, cage=cage, clock=clock, entropy=entropy, pause=pause)
    try:
        reason = await _run_all(plan, conditions, executor, progress, enough)
    finally:
        if conditions.reset is not None:
            await asyncio.to_thread(conditions.reset.restore)
    if conditions.reset is not None:
        await asyncio.to_thread(conditions.reset.discard)
    if reason:
        bakeoff = bakeoff.model_copy(update={"stopped": reason})
        await asyncio.to_thread(house.store.put_bakeoff, bakeoff)
    return bakeoff


async def begin(
    plan: Plan,
    house: House,
    *,
    cage: Cage,
    clock: Clock = SYSTEM_CLOCK,
    entropy: Entropy = system_entropy,
    pause: Pause = asyncio.sleep,
) -> tuple[Bakeoff, Conditions]:
    """The header of a bake-off, stored, and what its runs have in common; the same again for one that was begun.

    OperatorError if the plan cannot be carried out or if the bake-off was begun under other conditions.
    """
    store = house.store
    plan = await asyncio.to_thread(_forked, _checked(plan), store)
    before = next((one for one in await asyncio.to_thread(store.bakeoffs) if one.id == plan.id), None)
    created_at = clock.now_s() if before is None else before.created_at
    looped = [task for task in plan.tasks if mode_of(task, plan.mode) == "closed_loop"]
    worlds = await asyncio.to_thread(open_worlds, plan.world, store, looped, before_s=created_at, house=house)
    if plan.from_step is not None:
        worlds = await asyncio.to_thread(fork_worlds, store, looped, worlds, plan.from_step)
    parts = plan_parts(plan, house, worlds)
    if plan.mode == "offline":
        answers = {task.id: await asyncio.to_thread(recordings_digest, store, task) for task in plan.tasks}
        parts["model_answers"] = digest_of(answers)
    reset = await asyncio.to_thread(take_snapshot, plan.reset, plan.snapshot) if plan.reset else None
    if reset is not None:
        parts["reset"] = reset.digest
    if plan.prompts:
        parts["prompt"] = digest_of({task: swap.texts for task, swap in plan.prompts.items()})
    dataset = dataset_of(plan.tasks, conditions=house.conditions(), seed=plan.seed)
    bakeoff = _header(plan, parts, dataset, created_at)
    if before is not None:
        try:
            require_equal(plan.id, before.fingerprint_parts, parts)
        except OperatorError:
            if reset is not None and reset.is_new:
                await asyncio.to_thread(reset.discard)
            raise
    await asyncio.to_thread(store.put_bakeoff, bakeoff)
    conditions = Conditions(
        bakeoff=plan.id,
        fingerprint=bakeoff.fingerprint,
        parts=dict(house.conditions()),
        limits=plan.limits,
        house=house,
        cage=cage,
        env=dict(os.environ if plan.env is None else plan.env),
        worlds=worlds,
        min_fidelity=plan.min_fidelity,
        prompts=plan.prompts,
        workspace=plan.workspace,
        reset=reset,
        max_steps=plan.max_steps,
        clock=clock,
        entropy=entropy,
        pause=pause,
    )
    return bakeoff, conditions


def plan_parts(plan: Plan, house: House, worlds: Mapping[str, Snapshot]) -> dict[str, str]:
    return fingerprint_parts(
        tasks=plan.tasks,
        worlds=worlds,
        limits=plan.limits,
        conditions=house.conditions(),
        loop={
            "max_steps": plan.max_steps,
            "workspace": plan.workspace,
            "min_fidelity": plan.min_fidelity,
            "mode": plan.mode,
        },
    )


def _header(plan: Plan, parts: Mapping[str, str], dataset: Dataset, now_s: float) -> Bakeoff:
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
        dataset=dataset,
        mode=plan.mode,
        from_step=plan.from_step,
    )


async def _run_all(
    plan: Plan, conditions: Conditions, executor: Executor, progress: OnProgress, enough: Enough | None
) -> str:
    """Why it ended before all runs were made; empty if they were."""
    store = conditions.house.store
    kept = {
        run.id
        for run in await asyncio.to_thread(store.runs, plan.id)
        if run.status == "finished" and run.fingerprint == conditions.fingerprint
    }
    slots = schedule(plan)
    production = await asyncio.to_thread(lambda: list(_production(plan, conditions)))
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

    def job(slot: Slot) -> Job:
        in_cage = slot.mode in IN_CAGE
        return Job(slot, memory_mb=(plan.limits.memory_mb or 0.0) if in_cage else 0.0, cpus=1.0 if in_cage else 0.1)

    jobs = [job(slot) for slot in slots if slot.run not in kept]
    trials = CagedTrials(conditions)
    if enough is None:
        await executor.run(jobs, trials, keep)
        return ""
    for part in rounds(jobs, plan):
        if (reason := enough(await asyncio.to_thread(store.runs, plan.id))) is not None:
            return reason
        await executor.run(part, trials, keep)
    return ""


def drawn_tasks(plan: Plan) -> tuple[str, ...]:
    """Ids of the tasks in the order in which the schedule first comes to each."""
    return tuple(dict.fromkeys(slot.task.id for slot in schedule(plan)))


def rounds(jobs: Sequence[Job], plan: Plan) -> Iterator[list[Job]]:
    """`jobs` task by task in the order drawn, in parts of whole tasks with at least `_ROUND` jobs."""
    by_task: dict[str, list[Job]] = {task: [] for task in drawn_tasks(plan)}
    for job in jobs:
        by_task[job.slot.task.id].append(job)
    part: list[Job] = []
    for of_task in by_task.values():
        part += of_task
        if len(part) >= _ROUND:
            yield part
            part = []
    if part:
        yield part


def _production(plan: Plan, conditions: Conditions) -> Iterator[tuple[str, Callable[[], Awaitable[Run]]]]:
    if plan.reference is None:
        return
    candidate = production_candidate(plan.reference, plan.tasks)
    for task in plan.tasks:
        recordings = recorded_runs(conditions.house.store, task, candidate.model)
        for trial, recorded in enumerate(recordings):
            make = partial(production_run, task, recorded, candidate, trial, conditions)
            yield production_run_id(plan.id, candidate.name, recorded.id), make
