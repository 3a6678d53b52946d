"""One trial of one task on one candidate: open a session, run, close it, check, and say what happened as a `Run`."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import traceback
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from proxy.prompting import PromptSwap, has_replaced_prompt
from replay.cage.contract import Cage, CageSpec, StopRequest
from replay.checks import Finished, last_said, run_checks
from replay.fingerprint import changed_parts
from replay.house import House
from replay.loop import MAX_STEPS, ClosedLoop, Pause
from replay.model_tape import ModelTape, recordings_of
from replay.packages import Place as PackagePlace
from replay.packages import TooManyFoldersError, installed, list_packages, roots_of
from replay.reset import Reset
from replay.stepwise import Teacher, contexts_of
from replay.swap.street import swap_street
from replay.task import Task
from replay.turns.choose import TURNS
from replay.world.contract import Snapshot, World
from trajectory.clock import SYSTEM_CLOCK, Clock, Entropy, system_entropy
from trajectory.errors import CageError, IroncageError, StoreError
from trajectory.ids import new_id, trajectory_id
from trajectory.runs import Candidate, Certificate, CheckResult, Limits, Loss, Mode, Package, Run, Served
from trajectory.trajectory import Launch, Step, Trajectory

Workspace = Literal["shared", "copy"]
"""shared: every run works in the folder in which the task was recorded; copy: each in a copy of its own."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all runs of a bake-off have in common. `env` is the environment of agents and checks, before the house
    lays its variables over it; `parts` are those of the fingerprint that the house states.
    """

    bakeoff: str
    fingerprint: str
    parts: Mapping[str, str]
    limits: Limits
    house: House
    cage: Cage
    env: Mapping[str, str]
    worlds: Mapping[str, Snapshot] = field(default_factory=dict)
    min_fidelity: float | None = None
    prompts: Mapping[str, PromptSwap] = field(default_factory=dict)
    workspace: Workspace = "shared"
    reset: Reset | None = None
    max_steps: int = MAX_STEPS
    clock: Clock = SYSTEM_CLOCK
    entropy: Entropy = system_entropy
    pause: Pause = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in the schedule. `seed` is the same for all candidates of a task and trial; `asked_mode` None leaves
    the way to run it to the task.
    """

    run: str
    task: Task
    candidate: Candidate
    trial: int
    seed: int
    asked_mode: Mode | None = None

    @property
    def mode(self) -> Mode:
        return self.asked_mode or self.task.mode


@dataclass(frozen=True, slots=True)
class _Ran:
    certificate: Certificate
    said: str | None = None
    stdout: str = ""
    stdout_truncated: bool = False
    served: tuple[Served, ...] = ()
    packages: tuple[Package, ...] | None = None
    teacher: Teacher | None = None
    tape: ModelTape | None = None
    losses: tuple[Loss, ...] = ()


async def run_trial(slot: Slot, conditions: Conditions) -> Run:
    """Never raises but StoreError and cancellation: what the harness gets wrong is a run with status harness_error."""
    started_at, began = conditions.clock.now_s(), conditions.clock.monotonic_s()
    session = new_id(started_at, conditions.entropy(7))

    def run(trajectory: str, **rest: Any) -> Run:
        took_s = conditions.clock.monotonic_s() - began
        return run_of(slot, conditions, trajectory, started_at=started_at, duration_s=took_s, **rest)

    try:
        with tempfile.TemporaryDirectory(prefix="ironcage-run-", ignore_cleanup_errors=True) as private:
            place = await asyncio.to_thread(_work_place, slot.task, conditions.workspace, Path(private))
            ran, trajectory = await _in_session(slot, session, place, conditions)
            finished = _finished(slot, ran, trajectory, place)
            checks = await _checks(slot, ran, finished, conditions)
        kept = await _masked(conditions.house, session, finished, checks)
        results = {
            "served": ran.served,
            "packages": ran.packages,
            "losses": ran.losses,
            **_results(ran, trajectory),
            **kept,
        }
        return run(trajectory.id if trajectory else session, status="finished", **results)
    except StoreError:
        raise  # nothing can be kept any more, this run included
    except Exception as error:  # the shell around one run: whatever broke, the bake-off goes on and shows it
        return run(session, **broken(conditions, _told(error)))


def run_of(slot: Slot, conditions: Conditions, trajectory: str, **rest: Any) -> Run:
    return Run(
        id=slot.run,
        bakeoff=conditions.bakeoff,
        task=slot.task.id,
        candidate=slot.candidate,
        trial=slot.trial,
        seed=slot.seed,
        fingerprint=conditions.fingerprint,
        mode=slot.mode,
        trajectory=trajectory,
        min_fidelity=conditions.min_fidelity,
        **rest,
    )


def broken(conditions: Conditions, error: str) -> dict[str, Any]:
    """What a run says that the harness got wrong: it asked for limits, and nothing shows that they held."""
    none = Certificate(grade="none", asked=conditions.limits, applied=Limits())
    return {"status": "harness_error", "certificate": none, "error": error}


async def _checks(slot: Slot, ran: _Ran, finished: Finished, conditions: Conditions) -> tuple[CheckResult, ...]:
    """What a stepwise run leaves behind is no work that could be judged as a whole."""
    if slot.mode == "stepwise":
        return ()
    of_task = await run_checks(finished, conditions.cage, conditions.env)
    return of_task if ran.tape is None else (ran.tape.check(), *of_task)


def _results(ran: _Ran, trajectory: Trajectory | None) -> dict[str, Any]:
    """CageError where a stepwise run cannot be told from its record."""
    if ran.teacher is not None:
        return {"steps": ran.teacher.results(trajectory)}
    return {"model_answers": dict(ran.tape.answered)} if ran.tape is not None else {}


async def _masked(house: House, session: str, finished: Finished, checks: tuple[CheckResult, ...]) -> dict[str, object]:
    """What the agent printed has not passed the proxy: it is kept only as the record would keep it."""
    certificate = finished.certificate
    tail = await house.masked(session, certificate.stderr_tail)
    return {
        "answer": None if finished.answer is None else await house.masked(session, finished.answer),
        "certificate": certificate.model_copy(update={"stderr_tail": tail}),
        "checks": tuple(
            [one.model_copy(update={"evidence": await house.masked(session, one.evidence)}) for one in checks]
        ),
    }


def _told(error: Exception) -> str:
    if isinstance(error, IroncageError):
        return f"{error.code}: {error}" + (f" ({error.hint})" if error.hint else "")
    return "".join(traceback.format_exception(error))[-4000:]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an agent and its checks work; `scratch` is a TMPDIR of the run's own."""

    cwd: Path
    scratch: Path


def _work_place(task: Task, workspace: Workspace, private: Path) -> _Place:
    scratch = private / "tmp"
    scratch.mkdir()
    if task.launch is None:
        return _Place(scratch, scratch)
    cwd = Path(task.launch.cwd)
    if workspace == "copy":
        work = private / "work"
        shutil.copytree(cwd, work, symlinks=True)
        cwd = work
    return _Place(cwd, scratch)


async def _in_session(
    slot: Slot, session: str, place: _Place, conditions: Conditions
) -> tuple[_Ran, Trajectory | None]:
    house = conditions.house
    stop = StopRequest()
    tape: ModelTape | None = None
    if slot.mode == "offline":
        recordings = await asyncio.to_thread(recordings_of, house.store, slot.task)
        tape = ModelTape(recordings, partial(stop.stop, "tape_miss"))
    candidate = slot.candidate if tape is None else None
    swap = None if candidate is None else swap_street(candidate, house, slot.seed)
    street = swap if tape is None else tape
    prompt = conditions.prompts.get(slot.task.id) if slot.mode == "agent" else None
    house.open_session(
        session,
        candidate,
        task=slot.task.id,
        seed=slot.seed,
        budget_spent=stop.stop,
        street=street,
        prompt=prompt,
    )
    try:
        changed = changed_parts(conditions.parts, dict(house.conditions()))
        if changed:
            raise CageError(f"the conditions changed while the bake-off ran: {', '.join(changed)}")
        if slot.mode == "stepwise":
            ran = await _run_stepwise(slot, session, stop, conditions)
        elif slot.task.launch is not None:
            ran = await _run_agent(slot, session, stop, place, conditions)
        else:
            ran = await _run_loop(slot, session, stop, conditions)
        applied = house.applied(session)
    finally:
        await house.close_session(session)
    certificate = _with_proxy_limits(ran.certificate, applied)
    if slot.task.launch is not None:
        launch = Launch(
            command=slot.task.launch.command,
            cwd=slot.task.launch.cwd,
            exit_code=certificate.exit_code,
            duration_s=certificate.wall_s,
        )
        root = trajectory_id(session, None)
        await asyncio.to_thread(house.store.launched, root, launch, task=slot.task.id, source="replay")
    trajectory = await asyncio.to_thread(_recorded, house, session)
    if prompt is not None and trajectory is not None and not has_replaced_prompt(trajectory):
        raise CageError("no request of the agent had the recorded system prompt, or one like it: nothing was varied")
    losses = () if swap is None else swap.losses
    return replace(ran, certificate=certificate, tape=tape, losses=losses), trajectory


def _with_proxy_limits(certificate: Certificate, applied: Limits) -> Certificate:
    """The cage knows its own limits only; egress and retries are the proxy's, as the policies read them."""
    merged = certificate.applied.model_copy(update={"egress_mb": applied.egress_mb, "max_retries": applied.max_retries})
    return certificate.model_copy(update={"applied": merged})


def _recorded(house: House, session: str) -> Trajectory | None:
    """The trajectory of the session: that of its agent, or of its first named agent; None if it has no step."""
    found = [house.store.trajectory(summary.id) for summary in house.store.find(session=session)]
    found = [one for one in found if one.steps]
    return min(found, key=lambda one: (one.agent is not None, one.started_at), default=None)


async def _run_agent(slot: Slot, session: str, stop: StopRequest, place: _Place, conditions: Conditions) -> _Ran:
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
    return _Ran(result.certificate, stdout=result.stdout, stdout_truncated=result.stdout_truncated, packages=packages)


def _packages(roots: Sequence[Path]) -> frozenset[PackagePlace] | None:
    """None where there is too much to look at, which a report shows as unknown."""
    try:
        return list_packages(roots)
    except TooManyFoldersError:
        return None


async def _run_loop(slot: Slot, session: str, stop: StopRequest, conditions: Conditions) -> _Ran:
    world = await conditions.worlds[slot.task.id].start(slot.seed)
    try:
        ran = await _loop_in(world, slot, session, stop, conditions)
    finally:
        notes = await world.close()
    certificate = ran.certificate.model_copy(update={"notes": (*ran.certificate.notes, *notes)})
    return replace(ran, certificate=certificate)


async def _loop_in(world: World, slot: Slot, session: str, stop: StopRequest, conditions: Conditions) -> _Ran:
    """No agent process: wall time is kept here, egress and retries by the proxy, and nothing is left to limit."""
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
    return _Ran(certificate, said=loop.answer, served=tuple(loop.served))


async def _run_stepwise(slot: Slot, session: str, stop: StopRequest, conditions: Conditions) -> _Ran:
    """The time of a run is no limit here: a step takes none of the tools' time, and each is told with its own."""
    house = conditions.house
    recorded = await asyncio.to_thread(contexts_of, house.store, slot.task.source)

    async def ask(step: Step, body: bytes) -> int:
        status, _ = await house.ask(session, step.upstream, step.path, body)
        return status

    teacher = Teacher(ask, recorded.contexts, pause=conditions.pause)
    took_s = await _until_stopped(teacher.run(), stop, None, conditions.clock)
    notes = [f"stepwise: {len(recorded.contexts)} recorded contexts, nothing executed, so memory and time not limited"]
    asked = conditions.limits.model_copy(update={"memory_mb": None, "cpu_s": None, "wall_s": None})
    return _Ran(_without_cage(asked, took_s, stop, [*notes, *recorded.left_out]), teacher=teacher)


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
    """Of `asked`, wall time was kept here, egress and retries by the proxy."""
    return Certificate(
        grade="none",
        asked=asked,
        applied=Limits(wall_s=asked.wall_s),
        wall_s=took_s,
        kill_cause=stop.cause,
        kill_evidence=stop.evidence,
        notes=tuple(notes),
    )


def _finished(slot: Slot, ran: _Ran, trajectory: Trajectory | None, place: _Place) -> Finished:
    in_agent = slot.task.launch is not None
    return Finished(
        task=slot.task,
        candidate=slot.candidate,
        trial=slot.trial,
        seed=slot.seed,
        trajectory=trajectory,
        certificate=ran.certificate,
        cwd=place.cwd,
        said=last_said(trajectory) if in_agent else ran.said,
        stdout=ran.stdout,
        stdout_truncated=ran.stdout_truncated,
        served=ran.served,
    )
