"""The ways in which a trial is run once its session is open: the agent in its cage, the engine's loop, step by step."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from replay.cage.contract import CageSpec, StopRequest
from replay.conditions import Conditions, Slot, Workspace
from replay.loop import ClosedLoop
from replay.offline import OfflineStreet
from replay.packages import Place as PackagePlace
from replay.packages import TooManyFoldersError, installed, list_packages, roots_of
from replay.recorded import Recorded
from replay.stepwise import Teacher, contexts_of
from replay.task import Task
from replay.turns.choose import TURNS
from replay.world.contract import World
from trajectory.clock import Clock
from trajectory.runs import Approvals, Certificate, Limits, Loss, Package, Served
from trajectory.trajectory import Step


@dataclass(frozen=True, slots=True)
class Ran:
    certificate: Certificate
    said: str | None = None
    stdout: str = ""
    stdout_truncated: bool = False
    served: tuple[Served, ...] = ()
    packages: tuple[Package, ...] | None = None
    teacher: Teacher | None = None
    offline: OfflineStreet | None = None
    losses: tuple[Loss, ...] = ()
    approvals: Approvals | None = None
    recorded: Recorded = field(default_factory=Recorded)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent and its checks work; `scratch` is a TMPDIR of the run's own."""

    cwd: Path
    scratch: Path


def work_place(task: Task, workspace: Workspace, private: Path) -> Place:
    scratch = private / "tmp"
    scratch.mkdir()
    if task.launch is None:
        return Place(scratch, scratch)
    cwd = Path(task.launch.cwd)
    if workspace == "copy":
        work = private / "work"
        shutil.copytree(cwd, work, symlinks=True)
        cwd = work
    return Place(cwd, scratch)


async def run_in_its_way(slot: Slot, session: str, stop: StopRequest, place: Place, conditions: Conditions) -> Ran:
    if slot.mode == "stepwise":
        return await run_stepwise(slot, session, stop, conditions)
    if slot.task.launch is not None:
        return await run_agent(slot, session, stop, place, conditions)
    return await run_loop(slot, session, stop, conditions)


async def run_agent(slot: Slot, session: str, stop: StopRequest, place: Place, conditions: Conditions) -> Ran:
    assert slot.task.launch is not None
    env = {
        **conditions.env,
        **conditions.house.environment(session),
        "TMPDIR": str(place.scratch),
        "IRONCAGE_SESSION": session,
        "IRONCAGE_TASK": slot.task.id,
    }
    if slot.mode != "offline":  # there the agent is to do what it did in production, which had none
        env["IRONCAGE_SEED"] = str(slot.seed)
    spec = CageSpec(slot.task.launch.command, place.cwd, env, conditions.limits, stop=stop)
    roots = roots_of(slot.task.launch.command, place.cwd, env, place.scratch)
    before = await asyncio.to_thread(_packages, roots)
    result = await conditions.cage.run(spec)
    after = await asyncio.to_thread(_packages, roots) if before is not None else None
    packages = None if before is None or after is None else installed(before, after)
    return Ran(result.certificate, stdout=result.stdout, stdout_truncated=result.stdout_truncated, packages=packages)


def _packages(roots: Sequence[Path]) -> frozenset[PackagePlace] | None:
    """None where there is too much to look at, which a report shows as unknown."""
    try:
        return list_packages(roots)
    except TooManyFoldersError:
        return None


async def run_loop(slot: Slot, session: str, stop: StopRequest, conditions: Conditions) -> Ran:
    world = await conditions.worlds[slot.task.id].start(slot.seed)
    try:
        ran = await _loop_in(world, slot, session, stop, conditions)
    finally:
        notes = await world.close()
    certificate = ran.certificate.model_copy(update={"notes": (*ran.certificate.notes, *notes)})
    return replace(ran, certificate=certificate)


async def _loop_in(world: World, slot: Slot, session: str, stop: StopRequest, conditions: Conditions) -> Ran:
    """No agent process: wall time is kept here, what the proxy enforces there, and nothing is left to limit."""
    task = slot.task
    assert task.request is not None

    turns = TURNS[task.wire]

    async def ask(body: bytes) -> tuple[int, bytes]:
        return await conditions.house.ask(session, task.upstream, turns.path(task.path), body)

    loop = ClosedLoop(ask, task.request, world, turns, max_steps=conditions.max_steps, pause=conditions.pause)
    took_s = await _until_stopped(loop.run(), stop, conditions.limits.wall_s, conditions.clock)
    notes = ["closed loop of the engine: there is no agent process whose memory or CPU time could be limited"]
    notes.append(f"the loop ended: {loop.ended}" + (f", {loop.evidence}" if loop.evidence else ""))
    asked = conditions.limits.model_copy(update={"memory_mb": None, "cpu_s": None})
    certificate = _without_cage(asked, took_s, stop, notes)
    return Ran(certificate, said=loop.answer, served=tuple(loop.served))


async def run_stepwise(slot: Slot, session: str, stop: StopRequest, conditions: Conditions) -> Ran:
    """The time of a run is no limit here: a step takes none of the tools' time, and each is told with its own."""
    house = conditions.house
    recorded = await asyncio.to_thread(contexts_of, house.store, slot.task.source, conditions.from_step)

    async def ask(step: Step, body: bytes) -> int:
        status, _ = await house.ask(session, step.upstream, step.path, body)
        return status

    teacher = Teacher(ask, recorded.contexts, pause=conditions.pause)
    took_s = await _until_stopped(teacher.run(), stop, None, conditions.clock)
    notes = [f"stepwise: {len(recorded.contexts)} recorded contexts, nothing executed, so memory and time not limited"]
    asked = conditions.limits.model_copy(update={"memory_mb": None, "cpu_s": None, "wall_s": None})
    return Ran(_without_cage(asked, took_s, stop, [*notes, *recorded.left_out]), teacher=teacher)


async def _until_stopped(
    work: Coroutine[object, object, None], stop: StopRequest, limit_s: float | None, clock: Clock
) -> float:
    """Do the work until it is done, or stopped, or out of time; how long it took, in seconds."""
    began = clock.monotonic_s()
    running = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({running, stopping}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.wait({running, stopping})
    took_s = clock.monotonic_s() - began
    if running in done:
        running.result()
    elif stopping not in done:
        stop.stop("wall_time", f"{took_s:.2f} s after its start, limit {limit_s:g} s")
    return took_s


def _without_cage(asked: Limits, took_s: float, stop: StopRequest, notes: Sequence[str]) -> Certificate:
    """Of `asked`, wall time was kept here; the proxy enforces the rest."""
    return Certificate(
        grade="none",
        asked=asked,
        applied=Limits(wall_s=asked.wall_s),
        wall_s=took_s,
        kill_cause=stop.cause,
        kill_evidence=stop.evidence,
        notes=tuple(notes),
    )
