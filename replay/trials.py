"""The runs of one bake-off, made in this process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from replay.conditions import Conditions, Slot
from replay.trial import broken, run_of, run_trial
from replay.ways import IN_CAGE
from trajectory.ids import new_id
from trajectory.runs import Run

_MORE_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class CagedTrials:
    """A run that the harness broke is made again, at most twice. Any other result stands as it is: to try again what a
    model got wrong, or what a limit stopped, would be to choose among results.
    """

    conditions: Conditions

    async def run(self, slot: Slot) -> Run:
        """What went wrong before is kept in the run."""
        earlier: list[str] = []
        while True:
            run = await self._attempt(slot)
            if run.status == "finished" or len(earlier) == _MORE_ATTEMPTS:
                return run.model_copy(update={"earlier_errors": tuple(earlier)}) if earlier else run
            earlier.append(run.error)

    async def _attempt(self, slot: Slot) -> Run:
        reset = self.conditions.reset if slot.mode in IN_CAGE else None
        if reset is None:
            return await run_trial(slot, self.conditions)
        async with reset.turn:
            try:
                await asyncio.to_thread(reset.restore)
            except OSError as e:
                return self.lost(slot, f"what the agent changes could not be put back: {e}")
            return await run_trial(slot, self.conditions)

    def lost(self, slot: Slot, error: str) -> Run:
        now_s = self.conditions.clock.now_s()
        session = new_id(now_s, self.conditions.entropy(7))
        said = broken(self.conditions, error)
        return run_of(slot, self.conditions, session, started_at=now_s, duration_s=0.0, **said)
