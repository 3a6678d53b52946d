from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from replay.plan import Plan
from replay.sweep import LADDER, Rung, climb, rung, stopped_by, swept
from replay.task import AgentCommand, Task
from tests.support.scored_runs import certificate, run
from trajectory.errors import OperatorError
from trajectory.runs import Candidate, Limits, Run

COMMAND = AgentCommand(command=("true",), cwd="/")
LIMITS = Limits(memory_mb=100, cpu_s=2, wall_s=10, egress_mb=5, max_retries=3)


def plan(**rest: object) -> Plan:
    tasks = tuple(
        Task(id=name, name=name, input="", source="s", wire="openai.chat", upstream="o", path="/v1", launch=COMMAND)
        for name in ("small", "headroom", "leak")
    )
    asked = Plan("sweep", (Candidate(name="c", upstream="o", model="m"),), tasks, trials=3, limits=LIMITS)
    return replace(asked, **rest)  # type: ignore[arg-type]


NEEDS_MB = {"small": 60.0, "headroom": 130.0, "leak": float("inf")}


class Baked:
    """Runs whose only trouble is memory. `together` counts what was baked at once."""

    def __init__(self) -> None:
        self.rungs: list[Rung] = []
        self.together: list[int] = []

    async def __call__(self, rungs: Sequence[Rung]) -> Sequence[Sequence[Run]]:
        self.together.append(len(rungs))
        return [self._bake(rung) for rung in rungs]

    def _bake(self, rung: Rung) -> Sequence[Run]:
        self.rungs.append(rung)
        limit = rung.plan.limits.memory_mb
        return [
            run(
                task=task.id,
                trial=trial,
                certificate=certificate(
                    rung.plan.limits, kill_cause="memory" if limit and NEEDS_MB[task.id] > limit else None
                ),
            )
            for task in rung.plan.tasks
            for trial in range(rung.plan.trials)
        ]


def steps(baked: Baked) -> list[tuple[str, float | None, list[str]]]:
    return [(one.resource, one.multiple, [task.id for task in one.plan.tasks]) for one in baked.rungs]


async def test_only_what_hit_the_limit_climbs_on() -> None:
    baked = Baked()
    climbed = await climb(plan(), ["memory", "cpu_time"], baked)
    assert steps(baked) == [
        ("memory", 1.0, ["small", "headroom", "leak"]),
        ("memory", 1.5, ["headroom", "leak"]),
        ("memory", 3.0, ["leak"]),
        ("memory", 5.0, ["leak"]),
        ("memory", None, ["leak"]),
    ]
    assert baked.together == [1, 1, 1, 1, 1]
    # the first step is the same for all resources: it is baked once and counted for each
    assert [(rung.resource, rung.multiple) for rung, _ in climbed][-1] == ("cpu_time", 1.0)


async def test_everything_climbs_if_asked() -> None:
    baked = Baked()
    await climb(plan(), ["wall_time"], baked, everything=True)
    assert [len(tasks) for _, _, tasks in steps(baked)] == [3] * len(LADDER)
    assert baked.together == [len(LADDER)], "in one schedule, so that no drift looks like a limit"


async def test_candidates_and_resources_climb_together_each_by_what_it_hit() -> None:
    baked = Baked()
    two = tuple(Candidate(name=name, upstream="o", model="m") for name in "ab")
    climbed = await climb(plan(candidates=two), ["memory", "wall_time"], baked, ladder=(1, 1.5))
    assert baked.together == [2, 2], "both candidates at 1x, then both at 1.5x; nothing hit the wall time"
    assert [(one.candidate.name, one.resource, one.multiple) for one, _ in climbed] == [
        ("a", "memory", 1), ("a", "memory", 1.5), ("a", "wall_time", 1),
        ("b", "memory", 1), ("b", "memory", 1.5), ("b", "wall_time", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("resource", swept(LIMITS))
def test_one_limit_is_lifted_and_all_others_stay(resource: str) -> None:
    whole = LIMITS.model_dump()
    for multiple in (1.5, None):
        lifted = rung(plan(), resource, multiple).plan.limits.model_dump()  # type: ignore[arg-type]
        changed = {name: value for name, value in lifted.items() if value != whole[name]}
        ((name, value),) = changed.items()
        assert value == (None if multiple is None else whole[name] * multiple)


def test_each_step_is_a_bake_off_of_its_own() -> None:
    ids = {rung(plan(), resource, multiple).plan.id for resource in swept(LIMITS) for multiple in LADDER}
    assert len(ids) == 1 + 3 * (len(LADDER) - 1)
    assert {"sweep.1x", "sweep.memory.1.5x", "sweep.cpu_time.uncapped"} <= ids


def test_tasks_stopped_by_another_limit_do_not_count() -> None:
    runs = [
        run(task=task, certificate=certificate(LIMITS, kill_cause=cause))
        for task, cause in (("a", "cpu_time"), ("b", "memory"), ("c", None))
    ]
    assert stopped_by("memory", runs) == ["b"]


@pytest.mark.parametrize("ladder", [(), (1.5, 3), (1, 3, 2), (1, None, 3), (1, 1)])
async def test_ladder_that_does_not_rise_from_one_is_refused(ladder: tuple[float | None, ...]) -> None:
    with pytest.raises(OperatorError, match="does not rise"):
        await climb(plan(), ["memory"], Baked(), ladder=ladder)


async def test_too_few_trials_and_limits_that_are_not_set_are_refused() -> None:
    with pytest.raises(OperatorError, match="2 trials"):
        await climb(plan(trials=2), ["memory"], Baked())
    with pytest.raises(OperatorError, match="cpu time is not limited") as error:
        await climb(plan(limits=Limits(memory_mb=10)), ["cpu_time"], Baked())
    assert error.value.hint is not None
    assert "memory" in error.value.hint
