"""From what is asked for to what is run: the tasks as their way runs them, and why some of them cannot be."""

from __future__ import annotations

from dataclasses import replace

from replay.combining import require_meaningful
from replay.fork import fork_task
from replay.plan import Plan, check_plan
from replay.swap.street import check_swap
from replay.task import Task
from replay.ways import TAPE, WITHOUT_PRODUCTION, Obstacle, in_mode, obstacle
from trajectory.errors import OperatorError
from trajectory.store import Store


def prepared(plan: Plan, store: Store) -> Plan:
    """The plan with its tasks as they are run. Those that cannot be are left out, each with the reason.

    Done once, before prompts are varied or limits swept: both begin with the tasks as they are run. OperatorError if
    the plan cannot be carried out, or if no task is left.
    """
    plan = _with_mode(plan)
    check_plan(plan)
    require_meaningful(plan)
    fitted: list[Task] = []
    obstacles: dict[str, Obstacle] = {}
    for task in plan.tasks:
        found = _fitted(task, plan, store)
        if isinstance(found, Obstacle):
            obstacles[task.id] = found
        else:
            fitted.append(found)
    if not fitted:
        first = next(iter(obstacles.values()))
        more = f" (and {len(obstacles) - 1} more that cannot be run so either)" if len(obstacles) > 1 else ""
        raise OperatorError(first.what + more, hint=first.hint)
    for candidate in plan.candidates:
        check_swap(candidate, {task.id: task.wire for task in fitted})
    return replace(plan, tasks=tuple(fitted), left_out={name: one.what for name, one in obstacles.items()})


def _with_mode(plan: Plan) -> Plan:
    """What a mode stands for: a fork goes on in the engine's loop, an offline replay has the tape for its candidate."""
    if plan.from_step is not None and plan.mode is None:
        plan = replace(plan, mode="closed_loop")
    if plan.mode == "offline" and not plan.candidates:
        plan = replace(plan, candidates=(TAPE,))
    return replace(plan, reference=None) if plan.mode in WITHOUT_PRODUCTION else plan


def _fitted(task: Task, plan: Plan, store: Store) -> Task | Obstacle:
    found = obstacle(task, plan.mode)
    if found is not None:
        return found
    task = in_mode(task, plan.mode)
    return task if plan.from_step is None else fork_task(store, task, plan.from_step)
