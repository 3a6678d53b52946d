"""Tasks as a person chooses them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from replay.task import Task, read_task
from trajectory.errors import OperatorError
from trajectory.store import Store


def choose_tasks(
    store: Store, only: Sequence[str] = (), *, splits: Collection[str] = (), tags: Collection[str] = ()
) -> tuple[Task, ...]:
    """Those named, or all; of these the ones in one of the splits, with all of the tags. OperatorError if none is."""
    known = store.tasks()
    missing = [task for task in only if task not in known]
    if missing or not known:
        hint = "`ironcage tasks list` shows what there is, `ironcage tasks build` makes tasks of what was recorded"
        raise OperatorError(f"there is no task {missing[0]!r}" if missing else "there are no tasks yet", hint=hint)
    named = [read_task(known[task]) for task in (only or known)]
    chosen = [task for task in named if (not splits or task.split in splits) and set(tags) <= set(task.tags)]
    if not chosen:
        wanted = " and ".join([*(f"split {one}" for one in splits), *(f"tag {one}" for one in tags)])
        raise OperatorError(f"there is no task with {wanted}", hint="`ironcage tasks list` shows splits and tags")
    return tuple(chosen)
