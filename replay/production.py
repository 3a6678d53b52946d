"""The recorded runs themselves as a candidate, so that a report shows them beside the models that were tried.

They were not run in a cage and asked for no limits: their certificates have grade "none" and say so. Their outcome is
what was recorded of them; where nothing was, the task's own checks decide on the record.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from replay.checks import Finished, label_result, last_said, run_checks
from replay.conditions import Conditions
from replay.recorded import sub_agents_of
from replay.task import RecordedLabel, Task
from trajectory.runs import Candidate, Certificate, CheckResult, Limits, Run
from trajectory.store import Store
from trajectory.trajectory import REPLAYED, Trajectory

_NOTE = "recorded in production: limits as they were then, neither asked for nor certified by a cage"


def production_candidate(name: str, tasks: Sequence[Task]) -> Candidate:
    """Upstream and model that most of the tasks were recorded with."""
    (upstream, model), _ = Counter((task.upstream, task.model or "unknown") for task in tasks).most_common(1)[0]
    return Candidate(name=name, upstream=upstream, model=model)


def recorded_runs(store: Store, task: Task, model: str) -> list[Trajectory]:
    """The source of `task`, and other recordings of the task with the same model only; oldest first."""
    ids = {summary.id for summary in store.find(task=task.id) if summary.source not in REPLAYED}
    found = [store.trajectory(one) for one in ids | {task.source}]
    same = [one for one in found if {step.model for step in one.model_steps} == {model}]
    return sorted(same, key=lambda one: (one.started_at, one.id))


async def production_run(task: Task, recorded: Trajectory, candidate: Candidate, trial: int, c: Conditions) -> Run:
    certificate = recorded_certificate(recorded)
    finished = Finished(
        task=task,
        candidate=candidate,
        trial=trial,
        seed=0,
        trajectory=recorded,
        certificate=certificate,
        cwd=Path(task.launch.cwd) if task.launch else None,
        said=last_said(recorded),
    )
    checks: tuple[CheckResult, ...]
    if recorded.label is not None:
        checks = (label_result(RecordedLabel(label=recorded.label, evidence=recorded.label_evidence)),)
    else:
        checks = await run_checks(finished, c.cage, c.env)
    return Run(
        id=production_run_id(c.bakeoff, candidate.name, recorded.id),
        bakeoff=c.bakeoff,
        task=task.id,
        candidate=candidate,
        trial=trial,
        seed=0,
        fingerprint=c.fingerprint,
        mode=task.mode,
        status="finished",
        started_at=recorded.started_at,
        duration_s=certificate.wall_s or 0.0,
        trajectory=recorded.id,
        sub_agents=await asyncio.to_thread(sub_agents_of, c.house.store, recorded),
        certificate=certificate,
        checks=checks,
        answer=finished.answer,
    )


def production_run_id(bakeoff: str, candidate: str, trajectory: str) -> str:
    return hashlib.blake2b("\0".join((bakeoff, candidate, trajectory)).encode(), digest_size=13).hexdigest()


def recorded_certificate(recorded: Trajectory) -> Certificate:
    ended = [attempt.started_at + attempt.total_s for step in recorded.steps for attempt in step.attempts]
    spanned = max(ended, default=recorded.started_at) - recorded.started_at
    launch = recorded.launch
    exit_code = launch.exit_code if launch else None
    return Certificate(
        grade="none",
        asked=Limits(),
        applied=Limits(),
        wall_s=launch.duration_s if launch and launch.duration_s is not None else spanned,
        exit_code=exit_code if exit_code is None or exit_code >= 0 else None,
        signal=-exit_code if exit_code is not None and exit_code < 0 else None,
        notes=(_NOTE,),
    )
