"""In which order runs are begun: in randomised blocks, so that what drifts meanwhile hits alike what is compared.

A machine gets busy, a provider has a bad hour: a block holds all that is compared with each other, once, for one task
and trial. That are the candidates of a bake-off, and of bake-offs that run together (one for each prompt, one for each
step of a sweep) those of all of them. The same plans give the same schedule.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence

from replay.conditions import Slot
from replay.executors.contract import Job
from replay.plan import Plan
from replay.task import Task
from trajectory.runs import Candidate

_ROUND = 8


def schedule(*plans: Plan) -> tuple[Slot, ...]:
    """The seed is that of the first plan."""
    order = random.Random(plans[0].seed)  # noqa: S311 (a schedule that can be repeated)
    places: dict[tuple[int, str], list[tuple[Plan, Task, Candidate]]] = {}
    for plan in plans:
        for trial in range(plan.trials):
            for task in plan.tasks:
                places.setdefault((trial, task.id), []).extend((plan, task, one) for one in plan.candidates)
    blocks = list(places)
    order.shuffle(blocks)
    slots: list[Slot] = []
    for trial, name in blocks:
        block = places[trial, name]
        order.shuffle(block)
        slots.extend(_slot(plan, task, candidate, trial) for plan, task, candidate in block)
    return tuple(slots)


def told_order(seed: int, compared: str) -> str:
    """For a report. `compared` is what a block holds."""
    return f"in random blocks, drawn with seed {seed}: each holds {compared} once, for one task and trial"


def drawn_tasks(*plans: Plan) -> tuple[str, ...]:
    """Ids of the tasks in the order in which the schedule first comes to each."""
    return tuple(dict.fromkeys(slot.task.id for slot in schedule(*plans)))


def rounds(jobs: Sequence[Job], drawn: Sequence[str]) -> Iterator[list[Job]]:
    """`jobs` task by task in the order drawn, in parts of whole tasks with at least `_ROUND` jobs."""
    by_task: dict[str, list[Job]] = {task: [] for task in drawn}
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


def _slot(plan: Plan, task: Task, candidate: Candidate, trial: int) -> Slot:
    """Its id is the same for the same place in the same bake-off: this is what makes one resumable."""
    place = "\0".join((plan.id, task.id, candidate.name, str(trial)))
    run = hashlib.blake2b(place.encode(), digest_size=13).hexdigest()
    return Slot(run, plan.id, task, candidate, trial, _number(str(plan.seed), task.id, str(trial)), plan.mode)


def _number(*parts: str) -> int:
    """31 bits, which every seed parameter takes."""
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=4).digest(), "big") >> 1
