"""What may go from the store by its age: all but the recordings that kept tasks and bake-offs still stand on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from replay.task import read_task
from trajectory.errors import OperatorError
from trajectory.store import Place, Store
from trajectory.trajectory import TrajectorySummary

_UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_PAGE = 500


def read_age(text: str) -> float:
    """Seconds of 90m, 12h, 30d or 8w. Raises OperatorError."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if match is None or int(match[1]) == 0:
        raise OperatorError(f"cannot read the age {text!r}", hint="write 90m, 12h, 30d or 8w")
    return float(int(match[1]) * _UNITS_S[match[2]])


@dataclass(frozen=True, slots=True)
class InUse:
    """`tasks` are names: any recording of a task may serve as its tape. `trajectories` are ids."""

    tasks: frozenset[str]
    trajectories: frozenset[str]

    @classmethod
    def of(cls, store: Store) -> Self:
        tasks = [read_task(document) for document in store.tasks().values()]
        replayed = (run.trajectory for bakeoff in store.bakeoffs() for run in store.runs(bakeoff.id))
        return cls(frozenset(task.id for task in tasks), frozenset((*(task.source for task in tasks), *replayed)))

    def holds(self, one: TrajectorySummary) -> bool:
        return one.id in self.trajectories or one.task in self.tasks


def began_before(store: Store, before_s: float, source: str | None = None) -> Iterator[TrajectorySummary]:
    """All of them, newest first; the store is read page by page, and what was read may be deleted meanwhile."""
    place: Place = (before_s, "")
    while page := store.find(before=place, source=source, limit=_PAGE):
        yield from page
        place = (page[-1].started_at, page[-1].id)
