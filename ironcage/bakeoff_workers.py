"""What a worker of an executor opens for itself: doors, policies and store as where the bake-offs began."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from ironcage.assembly import open_doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.settings import Loaded
from replay.bakeoff import begin
from replay.cage.process import PortableCage
from replay.conditions import Around
from replay.plan import Plan
from replay.trials import CagedTrials


def trials_opener(loaded: Loaded, plans: Sequence[Plan]) -> Callable[[], AbstractAsyncContextManager[CagedTrials]]:
    """Travels by pickle. `plans` are prepared and have begun before: a worker that finds other conditions refuses to
    work.
    """
    return partial(_open_trials, loaded, tuple(plans))


@asynccontextmanager
async def _open_trials(loaded: Loaded, plans: Sequence[Plan]) -> AsyncIterator[CagedTrials]:
    async with open_doors(loaded) as doors:
        begun = await begin(plans, Around(BakeoffHouse(doors), PortableCage()))
        yield CagedTrials(begun.conditions)
