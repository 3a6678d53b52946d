"""In which order runs of bake-offs that are compared with each other are begun."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from replay.schedule import schedule
from tests.support.baking import BAD, GOOD, agent_task, plan

TASKS = tuple(agent_task("", name=f"t{number}") for number in range(4))


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 10_000))
def test_each_block_holds_every_candidate_of_every_bake_off_once(cells: int, trials: int, seed: int) -> None:
    plans = [plan(*TASKS, id=f"b{number}", trials=trials, seed=seed) for number in range(cells)]
    slots = schedule(*plans)
    size = 2 * cells
    assert len({slot.run for slot in slots}) == len(slots) == size * trials * len(TASKS)
    for at in range(0, len(slots), size):
        block = slots[at : at + size]
        assert len({(slot.task.id, slot.trial, slot.seed) for slot in block}) == 1
        assert len({(slot.bakeoff, slot.candidate.name) for slot in block}) == size


def test_no_bake_off_is_always_the_first_of_its_block() -> None:
    plans = [plan(*TASKS, id=name, trials=10, candidates=(GOOD,)) for name in "ab"]
    first = Counter(slot.bakeoff for slot in schedule(*plans)[::2])
    assert min(first.values()) > 8, first


def test_a_run_has_the_same_name_and_seed_whatever_runs_beside_it() -> None:
    alone, beside = plan(*TASKS, id="a"), plan(*TASKS, id="b")
    here = {slot.run: slot for slot in schedule(alone)}
    assert here == {slot.run: slot for slot in schedule(beside, alone) if slot.bakeoff == "a"}


def test_bake_offs_of_some_tasks_share_the_blocks_of_those_tasks() -> None:
    one, other = plan(*TASKS, id="a", candidates=(GOOD,)), plan(*TASKS[:1], id="b", candidates=(BAD,))
    slots = [(slot.task.id, slot.bakeoff) for slot in schedule(one, replace(other, seed=9))]
    where = [at for at, (task, _) in enumerate(slots) if task == "t0"]
    assert (len(slots), where[1] - where[0]) == (5, 1)


def test_order_differs_with_the_seed_and_between_blocks() -> None:
    tasks = [agent_task("", name=f"t{n}") for n in range(20)]
    first = schedule(plan(*tasks))
    assert first == schedule(plan(*tasks))
    assert first != schedule(plan(*tasks, seed=2))
    assert {slot.candidate.name for slot in first[::2]} == {"good", "bad"}
