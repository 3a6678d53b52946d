from __future__ import annotations

import asyncio

from replay.cage.process import PortableCage
from replay.conditions import Conditions
from replay.house import Masked
from replay.trials import CagedTrials
from tests.support.recordings import ScriptedHouse
from tests.support.slots import agent_slot
from trajectory.errors import CageError
from trajectory.memory import MemoryStore
from trajectory.runs import Limits


class Failing(ScriptedHouse):
    """Breaks the first `times` trials."""

    def __init__(self, times: int) -> None:
        super().__init__(MemoryStore())
        self.left = times

    def masking(self, session: str) -> Masked:
        if self.left:
            self.left -= 1
            raise CageError(f"{self.left} to go")
        return super().masking(session)


def trials(house: ScriptedHouse) -> CagedTrials:
    return CagedTrials({"b1": Conditions("b1", "f", dict(house.conditions()), Limits(), house, PortableCage(), {})})


async def test_run_that_the_harness_broke_is_made_again_and_says_what_went_wrong() -> None:
    run = await trials(Failing(2)).run(agent_slot("print('done')"))
    assert (run.status, run.error) == ("finished", "")
    assert [one.split(":")[0] for one in run.earlier_errors] == ["cage_error", "cage_error"]
    assert ["1 to go" in run.earlier_errors[0], "0 to go" in run.earlier_errors[1]] == [True, True]


async def test_harness_that_stays_broken_is_given_up() -> None:
    run = await asyncio.wait_for(trials(Failing(100)).run(agent_slot("print('done')")), 60)
    assert (run.status, len(run.earlier_errors)) == ("harness_error", 2)
    assert "97 to go" in run.error


async def test_wrong_result_is_never_made_again() -> None:
    house = Failing(0)
    run = await trials(house).run(agent_slot("raise SystemExit(3)"))
    assert (run.status, run.certificate.exit_code, run.earlier_errors) == ("finished", 3, ())
    assert len(house.seen) == 1


def test_lost_run_is_a_harness_error_with_its_reason() -> None:
    run = trials(Failing(0)).lost(agent_slot(""), "the worker died")
    assert (run.status, run.error, run.certificate.grade) == ("harness_error", "the worker died", "none")
