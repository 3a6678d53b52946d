"""What a worker of an executor opens for itself: doors, policies and store as where the bake-off began."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from ironcage.assembly import open_doors
from ironcage.bakeoff_house import BakeoffHouse
from ironcage.settings import Loaded
from replay.bakeoff import Plan, begin
from replay.cage.process import PortableCage
from replay.trials import CagedTrials


def trials_opener(loaded: Loaded, plan: Plan) -> Callable[[], AbstractAsyncContextManager[CagedTrials]]:
    """Travels by pickle. `plan` has begun before: a worker that finds other conditions refuses to work."""
    return partial(_open_trials, loaded, plan)


@asynccontextmanager
async def _open_trials(loaded: Loaded, plan: Plan) -> AsyncIterator[CagedTrials]:
    async with open_doors(loaded) as doors:
        _, conditions = await begin(plan, BakeoffHouse(doors), cage=PortableCage())
        yield CagedTrials(conditions)
