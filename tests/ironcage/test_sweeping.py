from __future__ import annotations

from collections.abc import Sequence

from ironcage.sweeping import read_sweeps
from replay.plan import Plan
from replay.sweep import Rung, climb
from replay.task import AgentCommand, Task
from scoring.report.sweep import SweepReport, render_sweep
from tests.support.scored_runs import bakeoff, certificate, check, run
from trajectory.memory import MemoryStore
from trajectory.runs import Candidate, Limits, Run

LIMITS = Limits(memory_mb=100)
NEEDS_MB = {"small": 60.0, "headroom": 130.0, "leak": float("inf"), "wrong": 50.0}


def plan(*tasks: str) -> Plan:
    made = tuple(
        Task(
            id=name,
            name=name,
            input="",
            source="s",
            wire="openai.chat",
            upstream="o",
            path="/v1",
            launch=AgentCommand(command=("true",), cwd="/"),
        )
        for name in tasks
    )
    return Plan("s", (Candidate(name="m", upstream="o", model="m"),), made, trials=3, limits=LIMITS)


def made(rung: Rung, task: str, trial: int) -> Run:
    limit = rung.plan.limits.memory_mb
    killed = limit is not None and NEEDS_MB[task] > limit
    kept = certificate(
        rung.plan.limits,
        kill_cause="memory" if killed else None,
        kill_evidence="over" if killed else "",
        peak_memory_mb=min(NEEDS_MB[task], limit or NEEDS_MB[task]),
        exit_code=None if killed else 0,
    )
    passed = not killed and task != "wrong"
    return run(
        passed, task=task, trial=trial, bakeoff=rung.plan.id, id=f"{rung.plan.id}/{task}/{trial}", certificate=kept,
        checks=(check(None if killed else passed),),
    )  # fmt: skip


async def swept(*tasks: str, ladder: Sequence[float | None] = (1, 1.5, 3)) -> SweepReport:
    store = MemoryStore()

    async def bake(rungs: Sequence[Rung]) -> list[list[Run]]:
        return [bake_one(rung) for rung in rungs]

    def bake_one(rung: Rung) -> list[Run]:
        names = [task.id for task in rung.plan.tasks]
        store.put_bakeoff(bakeoff(["m"], names, 3, id=rung.plan.id))
        runs = [made(rung, task, trial) for task in names for trial in range(3)]
        store.put_runs(runs)
        return runs

    asked = plan(*tasks)
    climbed = await climb(asked, ["memory"], bake, ladder=ladder)
    return read_sweeps(store, asked, climbed, margin=0.05, together=False)


async def test_each_task_says_what_it_needs() -> None:
    report = await swept("small", "headroom", "leak", "wrong")
    (one,) = report.sweeps
    found = {label.task: (label.fit, label.fits_at, label.need) for label in one.sweep.labels}
    assert found == {
        "small": ("fits", 1.0, 60.0),
        "headroom": ("headroom-bound", 1.5, 130.0),
        "leak": ("grows without bound", None, None),
        "wrong": ("model", 1.0, 50.0),
    }
    assert (one.sweep.base, one.sweep.unit) == (100.0, "MB")


async def test_what_was_not_run_again_is_counted_and_said() -> None:
    report = await swept("small", "headroom", "leak", "wrong")
    # at 1.5x small and wrong, at 3x headroom too, three trials each
    assert report.carried.startswith("15 results at higher steps")
    assert [step.runs for step in report.sweeps[0].sweep.steps] == [12, 12, 12]
    leak = await swept("leak")
    assert leak.carried == ""
    assert leak.notes[0].startswith("Steps were run one after the other, the runs of each in random blocks")
    assert "drawn with seed 0" in leak.notes[0]


async def test_page_shows_verdicts_and_stands_alone() -> None:
    page = render_sweep(await swept("headroom", "leak"))
    assert "needs headroom" in page
    assert "grows without bound" in page
    assert "://" not in page.replace("http://www.w3.org", "")


async def test_names_are_escaped() -> None:
    report = await swept("headroom")
    named = replace_name(report, "<script>alert(1)</script>")
    assert "<script>" not in render_sweep(named)


def replace_name(report: SweepReport, name: str) -> SweepReport:
    one = report.sweeps[0].model_copy(update={"candidate": name})
    return report.model_copy(update={"sweeps": (one,)})
