from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from replay.bakeoff import Progress, run_bakeoff
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.schedule import drawn_tasks
from replay.task import AgentCommand, Task
from tests.support.baking import GOOD, agent_task, bake, plan
from tests.support.recordings import ScriptedHouse
from trajectory.errors import OperatorError, StoreError
from trajectory.memory import MemoryStore
from trajectory.runs import Candidate, Limits, Run

# --- what goes wrong


async def test_what_the_harness_gets_wrong_is_a_run_of_its_own_and_the_rest_goes_on() -> None:
    nowhere = Candidate(name="lost", upstream="nowhere", model="m")
    house = ScriptedHouse(MemoryStore())
    missing = Task(
        **{**agent_task("").model_dump(), "id": "no-program", "launch": AgentCommand(command=("nope",), cwd="/")}
    )
    await bake(plan(agent_task(""), missing, candidates=(GOOD, nowhere)), house)
    found = {(run.candidate.name, run.task): run for run in house.store.runs("b1")}
    assert len(found) == 4
    assert found["good", "agent-task"].status == "finished"
    assert "there is no upstream" in found["lost", "agent-task"].error
    assert found["good", "no-program"].status == "harness_error"
    assert "cage_error: cannot start 'nope'" in found["good", "no-program"].error
    assert not found["good", "no-program"].certificate.is_valid or found["good", "no-program"].error


async def test_run_under_changed_conditions_is_a_harness_error() -> None:
    house = ScriptedHouse(MemoryStore())

    def change(one: Progress) -> None:
        house.stated = {"constraints": "c-2", "policies": "p-1"}

    asked = plan(agent_task(""))
    await run_bakeoff(asked, house, cage=PortableCage(), executor=LocalExecutor(cpus=1), progress=change)
    first, second = house.store.runs("b1")
    assert (first.status, second.status) == ("finished", "harness_error")
    assert "constraints" in second.error


async def test_store_that_is_gone_ends_the_bake_off() -> None:
    class Gone(MemoryStore):
        def put_runs(self, runs: Any) -> None:
            raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        await bake(plan(agent_task("")), ScriptedHouse(Gone()))


# --- continuing


async def test_finished_runs_are_kept_and_harness_errors_run_again() -> None:
    house = ScriptedHouse(MemoryStore())
    asked = plan(agent_task(""), trials=2)
    begun = await bake(asked, house)
    kept = house.store.runs("b1")
    broken = kept[0].model_copy(update={"status": "harness_error", "error": "x"})
    house.store.put_runs([broken])
    house.seen.clear()
    seen: list[Progress] = []
    again = await bake(asked, house, seen)
    assert house.seen == [(broken.candidate.name, broken.task)]
    assert [(one.done, one.total, one.run.id) for one in seen] == [(4, 4, broken.id)]
    assert again.created_at == begun.created_at
    assert {run.status for run in house.store.runs("b1")} == {"finished"}


async def test_bake_off_begun_under_other_conditions_is_not_continued() -> None:
    house = ScriptedHouse(MemoryStore())
    await bake(plan(agent_task("")), house)
    with pytest.raises(OperatorError, match="limits changed since"):
        await bake(plan(agent_task(""), limits=Limits(wall_s=9)), house)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": (GOOD, GOOD)}, "'good' stands in"),
        ({"candidates": ()}, "at least one candidate"),
        ({"trials": 0}, "at least one"),
        ({"reference": "good"}, "'good' stands in"),
    ],
)
async def test_plan_that_cannot_be_carried_out_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        await bake(replace(plan(agent_task("")), **change), ScriptedHouse(MemoryStore()))


async def test_closed_loop_task_of_an_unspoken_wire_is_refused_before_anything_runs() -> None:
    task = agent_task("").model_copy(update={"launch": None, "wire": "anthropic", "request": "{}"})
    with pytest.raises(OperatorError, match="does not speak anthropic"):
        await bake(plan(task), ScriptedHouse(MemoryStore()))


# --- ending before all is run


async def test_bake_off_that_has_seen_enough_ends_and_says_why() -> None:
    house = ScriptedHouse(MemoryStore())
    tasks = [agent_task("print('x')", name=f"t{number}") for number in range(12)]
    asked: list[int] = []

    def enough(runs: Sequence[Run]) -> str | None:
        asked.append(len(runs))
        return "clear by now" if len(runs) >= 10 else None

    baked = await run_bakeoff(plan(*tasks), house, cage=PortableCage(), executor=LocalExecutor(cpus=2), enough=enough)
    # two candidates, in parts of at least eight runs, each part of whole tasks
    assert asked == [0, 8, 16]
    assert (baked.stopped, house.store.bakeoffs()[0].stopped) == ("clear by now", "clear by now")
    made = house.store.runs("b1")
    assert len(made) == 16
    assert {run.task for run in made} == set(drawn_tasks(plan(*tasks))[:8])
