"""The runs of bake-offs, made in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from replay.conditions import Conditions, Slot
from replay.trial import broken, run_of, run_trial
from trajectory.ids import new_id
from trajectory.runs import Run

_MORE_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class CagedTrials:
    """A run that the harness broke is made again, at most twice. Any other result stands as it is: to try again what a
    model got wrong, or what a limit stopped, would be to choose among results.
    """

    conditions: Mapping[str, Conditions]
    """By bake-off."""

    async def run(self, slot: Slot) -> Run:
        """What went wrong before is kept in the run."""
        earlier: list[str] = []
        while True:
            run = await self._attempt(slot)
            if run.status == "finished" or len(earlier) == _MORE_ATTEMPTS:
                return run.model_copy(update={"earlier_errors": tuple(earlier)}) if earlier else run
            earlier.append(run.error)

    async def _attempt(self, slot: Slot) -> Run:
        conditions = self.conditions[slot.bakeoff]
        if conditions.reset is not None and slot.mode in conditions.reset_in:
            try:
                await asyncio.to_thread(conditions.reset.restore)
            except OSError as e:
                return self.lost(slot, f"what trials change could not be put back: {e}")
        return await run_trial(slot, conditions)

    def lost(self, slot: Slot, error: str) -> Run:
        conditions = self.conditions[slot.bakeoff]
        now_s = conditions.clock.now_s()
        session = new_id(now_s, conditions.entropy(7))
        said = broken(conditions, error)
        return run_of(slot, conditions, session, started_at=now_s, duration_s=0.0, **said)
