"""A bake-off's scorecard from what the store holds."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ironcage.evidence import RecordedConversations, reference_paths
from scoring.score import score
from scoring.scorecard import Scorecard
from trajectory.errors import OperatorError, StoreError
from trajectory.runs import Bakeoff, Run
from trajectory.store import Store
from trajectory.trajectory import Trajectory


def scored(store: Store, bakeoff: Bakeoff) -> Scorecard:
    with collector_paused():
        runs = store.runs(bakeoff.id)
        return score(
            bakeoff,
            runs,
            _Trajectories(store, runs),
            references=reference_paths(store, bakeoff),
            conversations=RecordedConversations(store, runs),
        )


@contextmanager
def collector_paused() -> Iterator[None]:
    """A scorecard is a large tree of frozen rows without a circle in it. The garbage collector would walk it again and
    again while it grows, for a fifth of the time, and find nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def trajectories_of(store: Store, bakeoff: Bakeoff) -> Mapping[str, Trajectory]:
    """Those that its runs name, of sub-agents too, loaded when they are asked for."""
    return _Trajectories(store, store.runs(bakeoff.id))


def find_bakeoff(store: Store, wanted: str | None) -> Bakeoff:
    """By its id; the newest where none is given."""
    for bakeoff in store.bakeoffs():
        if wanted in (None, bakeoff.id):
            return bakeoff
    raise OperatorError(
        f"there is no bake-off {wanted!r}" if wanted else "there is no bake-off yet",
        hint="`ironcage bakeoff list` shows them",
    )


class _Trajectories(Mapping[str, Trajectory]):
    """Loads each trajectory when it is asked for, so that a large bake-off is not in memory at once."""

    def __init__(self, store: Store, runs: list[Run]) -> None:
        self._store = store
        self._ids = list(dict.fromkeys(one for run in runs for one in (run.trajectory, *run.sub_agents)))

    def __getitem__(self, key: str) -> Trajectory:
        try:
            return self._store.trajectory(key)
        except StoreError:
            raise KeyError(key) from None  # a run that never asked anything left no trajectory

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
