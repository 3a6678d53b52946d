from __future__ import annotations

from ironcage.stopping import Decided
from tests.support.scored_runs import run
from trajectory.memory import MemoryStore
from trajectory.runs import Run

TASKS = tuple(f"t{number}" for number in range(40))


def decided(margin: float | None = 0.1, trials: int = 1, names: tuple[str, ...] = ("a", "b")) -> Decided:
    return Decided(MemoryStore(), TASKS, names, trials, margin=margin)


def runs(tasks: int, trials: int = 1, **passes: float) -> list[Run]:
    """Of each candidate, runs of the first `tasks` tasks; it passes that share of them, spread evenly."""
    return [
        run(int((at + 1) * share) > int(at * share), name=name, task=TASKS[at], trial=trial, trajectory="none")
        for name, share in passes.items()
        for at in range(tasks)
        for trial in range(trials)
    ]


def looks_until_enough(test: Decided, **passes: float) -> tuple[int, str] | None:
    for tasks in range(1, len(TASKS) + 1):
        if (reason := test(runs(tasks, **passes))) is not None:
            return tasks, reason
    return None


def test_clear_difference_ends_a_bake_off_long_before_its_end() -> None:
    found = looks_until_enough(decided(), a=1.0, b=0.0)
    assert found is not None
    tasks, reason = found
    assert 4 <= tasks <= 12
    assert reason.startswith(f"a is better than b after {tasks} tasks, difference +")


def test_half_a_difference_takes_more_tasks_and_nothing_is_said_at_once() -> None:
    small, large = looks_until_enough(decided(), b=1.0, a=0.5), looks_until_enough(decided(), b=1.0, a=0.0)
    assert small is not None
    assert large is not None
    assert small[0] > large[0]
    assert small[1].startswith("b is better than a")


def test_equals_end_only_with_a_margin() -> None:
    alike = looks_until_enough(decided(margin=0.3), a=1.0, b=1.0)
    assert alike is not None
    assert "a and b lie within 30 points of each other" in alike[1]
    assert looks_until_enough(decided(margin=None), a=1.0, b=1.0) is None


def test_every_pair_must_be_decided() -> None:
    assert looks_until_enough(decided(margin=None, names=("a", "b", "c")), a=1.0, b=0.0, c=1.0) is None


def test_tasks_with_trials_missing_do_not_count_yet() -> None:
    test = decided(trials=3)
    assert test(runs(30, trials=2, a=1.0, b=0.0)) is None
    assert test(runs(30, trials=3, a=1.0, b=0.0)) is not None
