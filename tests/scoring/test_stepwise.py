"""Steps beside recorded steps: what is counted, what is unknown, and how sure each number is."""

from __future__ import annotations

from typing import Any

import pytest

from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.score import score
from scoring.scorecard import Scorecard
from scoring.statistics import clustered_se
from scoring.stepwise import agrees, stepwise_rows
from trajectory.runs import Action, Bakeoff, Candidate, Certificate, Limits, Run, StepResult


def action(**fields: Any) -> Action:
    return Action(attempt="a", model="m", **fields)


def step(
    tools: bool | None = True, arguments: bool | None = None, text: bool | None = None, **candidate: Any
) -> StepResult:
    return StepResult(
        step=0, recorded=action(latency_s=1.0, cost_usd=0.25), candidate=action(**{"latency_s": 3.0, **candidate}),
        same_tools=tools, same_arguments=arguments, same_text=text,
    )  # fmt: skip


def run(task: str, *steps: StepResult, name: str = "c") -> Run:
    none = Certificate(grade="none", asked=Limits(), applied=Limits())
    return Run(
        id=f"{name}-{task}", bakeoff="b", task=task, candidate=Candidate(name=name, upstream="u", model="m"), trial=0,
        seed=0, fingerprint="f", mode="stepwise", status="finished", started_at=0, duration_s=1, trajectory=task,
        certificate=none, steps=steps,
    )  # fmt: skip


def card(*runs: Run) -> Scorecard:
    names = dict.fromkeys(run.candidate.name for run in runs)
    candidates = tuple(Candidate(name=name, upstream="u", model="m") for name in names)
    tasks = tuple(dict.fromkeys(run.task for run in runs))
    header = Bakeoff(
        id="b",
        created_at=0,
        candidates=candidates,
        tasks=tasks,
        trials=1,
        seed=0,
        fingerprint="f",
        fingerprint_parts={},
    )
    return score(header, runs, {})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (step(True, True), True),
        (step(True, False), False),
        (step(False), False),
        (step(True, text=False), True),
        (step(None), None),
    ],
)
def test_an_action_is_the_same_with_its_arguments_and_text_is_text(one: StepResult, expected: bool | None) -> None:
    assert agrees(one) is expected


def test_rates_are_over_steps_that_can_be_compared_and_clustered_by_task() -> None:
    (row,) = stepwise_rows([
        run("t1", step(True, True), step(True, True), step(True, text=False)),
        run("t2", step(False), step(False), step(None)),
    ])  # fmt: skip
    assert (row.runs, row.tasks, row.steps, row.unknown_steps) == (2, 2, 6, 1)
    assert (row.agreement.value, row.agreement.n) == (0.6, 5)
    assert "clustered by task" in row.agreement.method
    assert row.agreement.low is not None
    independent = stepwise_rows([run(f"t{n}", step(n < 3, n < 3 or None)) for n in range(5)])[0].agreement
    assert independent.value == row.agreement.value
    assert independent.low is not None
    assert row.agreement.low < independent.low, "five steps of two tasks tell less than five tasks"
    assert row.runs_in_full_agreement.value == 0.5
    assert row.same_text.value == 0.0


def test_differences_are_paired_and_may_be_negative() -> None:
    steps = [(f"t{n}", step(True, True, latency_s=0.5 + n / 10, cost_usd=0.125)) for n in range(4)]
    (row,) = stepwise_rows([run(task, one) for task, one in steps])
    assert row.latency_difference_s.value == pytest.approx(-0.35)
    assert row.latency_difference_s.high is not None
    assert row.latency_difference_s.high < 0
    assert row.cost_difference_usd.value == -0.125
    assert row.total_cost_usd == 0.5
    error = clustered_se([-0.5, -0.4, -0.3, -0.2], list("abcd"))
    assert error is not None
    half = 3.182446305284263 * error  # Student's t, 3 degrees, 0.975
    assert row.latency_difference_s.low == pytest.approx(-0.35 - half)


def test_what_nobody_said_is_unknown_and_no_step_is_no_row() -> None:
    assert stepwise_rows([run("t1")]) == ()
    (row,) = stepwise_rows([run("t1", step(None, is_known=False, error="HTTP 500"))])
    assert (row.agreement.value, row.mean_latency_s.value, row.total_cost_usd) == (None, None, None)
    silent = card(run("t1", step(None, is_known=False)))
    assert silent.conclusions[0] == "Of c no step can be compared: 1 of 1 have no answer on one side."


def test_violations_are_counted_on_both_sides() -> None:
    refused = step(True, True, violations=("tool_not_allowed", "tool_not_allowed"))
    (row,) = stepwise_rows([run("t1", refused, step())])
    assert row.violations == {"tool_not_allowed": 2}
    assert (row.recorded_violations, row.violation_rate.value) == ({}, 0.5)


def test_a_report_of_steps_says_what_it_is_of_and_no_more() -> None:
    found = card(run("t1", step(True, True)), run("t1", step(False), name="d"))
    assert [one.kind for one in found.cautions] == ["trajectory_missing"], "none is given here"
    assert found.conclusions[0].startswith("c takes the recorded action in 100.0 %")
    assert "does not say whether a task would be done" in found.conclusions[-1]
    for page in (render_markdown(found), render_html(found)):
        assert "Agreement with the recorded steps" in page
        assert "Steps: latency, cost, violations" in page
    assert Scorecard.model_validate_json(found.model_dump_json()) == found
