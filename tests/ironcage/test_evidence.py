from __future__ import annotations

import asyncio

import pytest

from ironcage.evidence import MAX_READ, RecordedConversations, reference_paths
from ironcage.scorecards import scored
from replay.bakeoff import run_bakeoff
from replay.building import build_task
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.plan import Plan
from replay.task import ExpectedAnswer, Task
from scoring.scorecard import Scorecard
from tests.support.recordings import Message, ScriptedHouse, calls, record, result, said, user
from tests.support.scored_runs import run
from trajectory.memory import MemoryStore
from trajectory.runs import Bakeoff, Candidate

LOOK = ("c1", "look", '{"id":7}')
GOOD, LOST = (Candidate(name=name, upstream="openai", model=name) for name in ("good", "lost"))


def good(messages: list[Message]) -> tuple[int, Message]:
    return 200, said("It is in transit.") if messages[-1]["role"] == "tool" else calls(LOOK)


def lost(messages: list[Message]) -> tuple[int, Message]:
    return 200, said("No idea.") if messages[-1]["role"] == "tool" else calls(("c1", "look", '{"id":8}'))


def recorded_task(store: MemoryStore) -> Task:
    conversation = [user("where is order 7?"), calls(LOOK), result("c1", "in transit"), said("It is in transit.")]
    record(store, "prod", conversation, task="order-7")
    store.label("prod", "passed", "seen by hand")
    task = build_task(store, "prod", checks=lambda _: (ExpectedAnswer(answer="in transit", match="contains"),))
    assert isinstance(task, Task)
    store.put_task(task.id, task.document())
    return task


async def baked() -> tuple[MemoryStore, Bakeoff]:
    store = MemoryStore()
    plan = Plan(id="b", candidates=(GOOD, LOST), tasks=(recorded_task(store),), world=("tape?reads=look",))
    house = ScriptedHouse(store, {"good": good, "lost": lost})
    return store, await run_bakeoff(plan, house, cage=PortableCage(), executor=LocalExecutor(cpus=2))


@pytest.fixture(scope="module")
def made() -> tuple[MemoryStore, Bakeoff, Scorecard]:
    store, bakeoff = asyncio.run(baked())
    return store, bakeoff, scored(store, bakeoff)


def test_candidates_are_held_against_the_recorded_path(made: tuple[MemoryStore, Bakeoff, Scorecard]) -> None:
    rows = {row.candidate.name: row.conduct.quality for row in made[2].candidates}
    assert rows["good"].every is not None
    assert rows["lost"].reads is not None
    assert (rows["good"].every.f1.value, rows["good"].same_path.value) == (1.0, 1.0)
    assert (rows["lost"].reads.f1.value, rows["lost"].differences) == (0.0, {"arguments": 1})
    (row,) = [row for row in made[2].runs if row.candidate == "lost"]
    assert row.conduct.quality is not None
    assert row.conduct.quality.divergence is not None
    assert (row.conduct.quality.divergence.arguments, row.conduct.quality.errors) == (("id",), 1)


def test_the_recorded_run_is_not_held_against_itself(made: tuple[MemoryStore, Bakeoff, Scorecard]) -> None:
    (row,) = [row for row in made[2].candidates if row.is_reference]
    assert row.conduct.quality.compared == 0
    assert row.conduct.quality.order.value is None


def test_what_requests_carried_is_read_from_their_bodies(made: tuple[MemoryStore, Bakeoff, Scorecard]) -> None:
    """17 characters asked twice; then look, its arguments and 10 characters of result."""
    (row,) = [row for row in made[2].candidates if row.candidate.name == "good"]
    whole = 17 + 17 + len('look{"id":7}') + 10
    assert row.conduct.context.resent_share.value == pytest.approx(17 / whole)
    assert row.conduct.context.tool_result_share.value == pytest.approx(10 / whole)


def test_tasks_that_were_built_anew_are_no_reference(made: tuple[MemoryStore, Bakeoff, Scorecard]) -> None:
    store, bakeoff, _ = made
    assert set(reference_paths(store, bakeoff)) == {"order-7"}
    parts = {**bakeoff.fingerprint_parts, "tasks": "other"}
    assert reference_paths(store, bakeoff.model_copy(update={"fingerprint_parts": parts})) == {}
    assert reference_paths(store, bakeoff.model_copy(update={"tasks": ("order-7", "gone")})) == {}


def test_bodies_of_the_first_runs_of_each_candidate_are_read_and_no_others() -> None:
    runs = [run(name=name, task=f"t{n}") for name in ("a", "b") for n in range(MAX_READ + 5)]
    assert len(RecordedConversations(MemoryStore(), runs)) == 2 * MAX_READ
    assert RecordedConversations(MemoryStore(), runs).get(runs[0].trajectory) is None
