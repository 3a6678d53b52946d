"""The runs of one bake-off, made in this process."""

from __future__ import annotations

from dataclasses import dataclass

from replay.trial import Conditions, Slot, broken, run_of, run_trial
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
            run = await run_trial(slot, self.conditions)
            if run.status == "finished" or len(earlier) == _MORE_ATTEMPTS:
                return run.model_copy(update={"earlier_errors": tuple(earlier)}) if earlier else run
            earlier.append(run.error)

    def lost(self, slot: Slot, error: str) -> Run:
        now_s = self.conditions.clock.now_s()
        session = new_id(now_s, self.conditions.entropy(7))
        said = broken(self.conditions, error)
        return run_of(slot, self.conditions, session, started_at=now_s, duration_s=0.0, **said)
