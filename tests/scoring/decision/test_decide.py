from __future__ import annotations

from collections.abc import Sequence

import pytest

from scoring.decision.decide import NO_UNCAPPED, decide
from scoring.decision.model import Decision, PresetName
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.scored_datasets import retail, sweep
from tests.support.scored_runs import (
    attempt,
    bakeoff,
    calls,
    certificate,
    refuse,
    run,
    says,
    step,
    table,
    tool_step,
    trajectory,
)
from trajectory.record import VerdictNote
from trajectory.runs import Run
from trajectory.trajectory import Trajectory

TASKS = [f"t{i}" for i in range(40)]


def passing(first: int, tasks: int = 40) -> dict[str, Sequence[bool | None]]:
    return {f"t{i}": [i < first] for i in range(tasks)}


def decided(card: Scorecard, preset: PresetName, paths: dict[str, Trajectory] | None = None) -> Decision:
    decision = decide(card, preset, trajectories=paths or {}).decision
    assert decision is not None
    return decision


def priced(passed: dict[str, int], tokens: dict[str, int]) -> Scorecard:
    """Candidates that pass the first so many of 80 tasks; each run spends about so many tokens in one call."""
    plan, runs = table({name: passing(first, 80) for name, first in passed.items()})
    paths = {
        one.trajectory: trajectory(step(attempt(answer=says("ok", tokens=(tokens[one.candidate.name] + i % 7, 10)))))
        for i, one in enumerate(runs)
    }
    return score(plan, runs, paths)


def test_mission_critical_takes_a_lead_that_is_shown_and_says_why() -> None:
    decision = decided(score(*table({"a": passing(38), "b": passing(10)}), {}), "mission-critical")
    advice = decision.recommendation
    assert (advice.candidate, advice.sentence) == ("a", "Take a.")
    assert any(reason.startswith("ahead of b by 70.0 points (p < 0.001; exact McNemar") for reason in advice.reasons)
    assert (advice.margins[0].over, advice.margins[0].is_shown) == ("b", True)
    assert decision.uncapped_note == NO_UNCAPPED


def test_a_lead_within_the_noise_is_no_recommendation() -> None:
    advice = decided(score(*table({"a": passing(22), "b": passing(20)}), {}), "mission-critical").recommendation
    assert (advice.candidate, advice.leader, advice.reasons) == (None, "a", ())
    assert advice.sentence.startswith("No recommendation: a leads in success rate, but its lead over b is not shown")
    assert "5.0 points, p 0.500" in advice.sentence


@pytest.mark.parametrize(("preset", "candidate"), [("mission-critical", None), ("rapid-prototyping", "a")])
def test_a_prototype_may_accept_a_risk_that_a_mission_may_not(preset: PresetName, candidate: str | None) -> None:
    assert (
        decided(score(*table({"a": passing(25), "b": passing(20)}), {}), preset).recommendation.candidate == candidate
    )


def test_retail_lead_that_rests_on_crashes_carries_no_recommendation() -> None:
    card = score(*retail("assertions-6-18", "assertions-6-20"))
    for preset in ("mission-critical", "rapid-prototyping"):
        assert decided(card, preset).recommendation.candidate is None


def test_seven_models_on_25_tasks_carry_no_recommendation() -> None:
    advice = decided(score(*sweep()), "mission-critical").recommendation
    assert (advice.candidate, advice.leader) == (None, "claude-fable-5")
    undecided = [flip for flip in advice.would_change if flip.kind == "undecided_runs"]
    assert {flip.leader for flip in undecided} >= {"claude-opus-5", "gemini-3.5-flash"}
    first = next(flip for flip in undecided if flip.leader == "claude-opus-5")
    assert first.text == "claude-opus-5 would lead if 1 of the 5 undecided runs of claude-fable-5 had failed."


def test_cost_sensitive_takes_the_cheaper_one_that_is_shown_not_to_be_worse() -> None:
    card = priced({"dear": 72, "cheap": 72, "bad": 8}, {"dear": 9000, "cheap": 1000, "bad": 100})
    decision = decided(card, "cost-sensitive")
    assert [(one.candidate, one.gate) for one in decision.standings] == [
        ("cheap", "in"),
        ("dear", "in"),
        ("bad", "out"),
    ]
    assert decision.recommendation.candidate == "cheap"
    assert decision.recommendation.margins[0].lead.value == pytest.approx(8000, abs=5)
    assert "bad is out: succeeds less often than dear" in decision.recommendation.reasons[-1]


def test_cheaper_but_perhaps_worse_is_no_recommendation() -> None:
    advice = decided(priced({"dear": 72, "cheap": 68}, {"dear": 9000, "cheap": 1000}), "cost-sensitive").recommendation
    assert advice.candidate is None
    assert "cheap leads in tokens per run, in and out, but is not shown to succeed at most 5 points" in advice.sentence


def test_equal_cost_is_no_recommendation() -> None:
    advice = decided(priced({"a": 36, "b": 36}, {"a": 1000, "b": 1000}), "cost-sensitive").recommendation
    assert advice.candidate is None
    assert "is not shown" in advice.sentence


def test_unknown_tokens_fall_back_to_tool_calls_and_say_so() -> None:
    plan, runs = table({"a": passing(30), "b": passing(30)})
    few, many = (
        trajectory(step(attempt(answer=says("x", tokens=None))), *(tool_step("x", index=i) for i in range(1, n)))
        for n in (2, 9)
    )
    paths = {one.trajectory: few if one.candidate.name == "a" else many for one in runs}
    decision = decided(score(plan, runs, paths), "cost-sensitive")
    assert decision.objective == "tool calls per run"
    assert decision.recommendation.candidate == "a"


def compliance(broke: dict[str, set[str]]) -> tuple[Scorecard, dict[str, Trajectory]]:
    """Candidate `a` passes more; `broke` names the tasks in which a candidate tried what is refused."""
    plan, runs = table({"a": passing(38), "b": passing(20)})
    clean = trajectory(step(attempt(answer=calls("look_up"))), tool_step("look_up", index=1))
    refused = trajectory(step(attempt(answer=calls("look_up", "shell_exec"), verdicts=[refuse()])))
    paths = {one.trajectory: refused if one.task in broke.get(one.candidate.name, ()) else clean for one in runs}
    return score(plan, runs, paths), paths


def test_strict_compliance_leaves_out_who_tried_what_is_refused() -> None:
    card, paths = compliance({"a": {"t3"}})
    decision = decided(card, "strict-compliance", paths)
    assert decision.recommendation.candidate == "b"
    assert {one.candidate: one.gate for one in decision.standings} == {"a": "out", "b": "in"}
    assert "no violation in 40 runs; up to 8.8 % cannot be excluded" in decision.recommendation.reasons[1]


def test_strict_compliance_recommends_nobody_if_all_tried() -> None:
    card, paths = compliance({"a": {"t3"}, "b": {"t5", "t6"}})
    advice = decided(card, "strict-compliance", paths).recommendation
    assert (advice.candidate, advice.leader) == (None, None)
    assert "a tried what policy refuses in 1 of 40 runs; b tried what policy refuses in 2 of 40 runs" in advice.sentence


def test_runs_without_a_record_are_not_called_compliant() -> None:
    decision = decided(score(*table({"a": passing(38), "b": passing(2)}), {}), "strict-compliance")
    assert {one.gate for one in decision.standings} == {"open"}
    assert decision.recommendation.candidate is None


def test_security_audit_counts_tools_classes_refusals_and_bytes() -> None:
    masked = VerdictNote("rewrite", "redaction", "masked", "put pseudonyms", "EMAIL:2 PHONE:1", 3)
    away = VerdictNote("rewrite", "tools", "tool_not_allowed", "taken out", "shell_exec", 1)
    path = trajectory(
        step(attempt(answer=calls("look_up", "shell_exec"), verdicts=[refuse(), masked, away])),
        tool_step("look_up", index=1),
        tool_step("upload", index=2),
    )
    card = score(bakeoff(["m"], ["t1"]), [run()], {"m/t1/0": path})
    (audit,) = decided(card, "strict-compliance", {"m/t1/0": path}).security
    assert audit.tools_used == {"look_up": 1, "upload": 1}
    assert audit.data_classes == {"EMAIL": 2, "PHONE": 1}
    assert audit.refusals == {"tool_not_allowed": 1}
    assert audit.refused_subjects == {"tool_not_allowed: shell_exec": 1}
    assert audit.offered_away == {"shell_exec": 1}
    assert audit.egress == {"localhost": (300, 300)}
    assert (audit.runs_with_violations, audit.runs_recorded) == (1, 1)


def limited(card_id: str, passed: int, limits: str) -> tuple[Scorecard, list[Run]]:
    plan, runs = table({"a": passing(passed), "b": passing(30)})
    parts = {"prompts": "aa", "limits": limits, "constraints": limits}
    return score(plan.model_copy(update={"id": card_id, "fingerprint_parts": parts}), runs, {}), runs


def test_uncapped_runs_stand_beside_the_constrained_ones_and_tell_what_the_limits_cost() -> None:
    (card, _), (free, _) = limited("c", 20, "512"), limited("u", 38, "none")
    decision = decide(card, "mission-critical", trajectories={}, uncapped=free).decision
    assert decision is not None
    assert decision.uncapped is not None
    a, b = decision.uncapped.rows
    assert (a.constrained.value, a.uncapped.value, a.is_bound_by_limits) == (0.5, 0.95, True)
    assert (b.difference.value, b.is_bound_by_limits) == (0.0, False)
    assert decision.uncapped.warnings == ()
    (flip,) = [flip for flip in decision.recommendation.would_change if flip.kind == "uncapped"]
    assert flip.text == "Without limits a leads (95.0 % against 75.0 % of b)."


def test_an_uncapped_bakeoff_under_the_same_limits_validates_nothing() -> None:
    (card, _), (same, _) = limited("c", 20, "512"), limited("u", 38, "512")
    decision = decide(card, "mission-critical", trajectories={}, uncapped=same).decision
    assert decision is not None
    assert decision.uncapped is not None
    assert decision.uncapped.warnings == ("the limits are the same in both bake-offs, so nothing is validated",)


def test_one_candidate_and_no_run_are_no_choice() -> None:
    alone = decided(score(*table({"a": passing(30)}), {}), "rapid-prototyping").recommendation
    nothing = decided(score(bakeoff(["a", "b"], ["t"]), [], {}), "rapid-prototyping").recommendation
    assert alone.sentence == "No recommendation: with one candidate there is nothing to choose from."
    assert nothing.sentence == "No recommendation: no run could be scored."


def test_production_that_leads_is_kept() -> None:
    plan, runs = table({"production": passing(38), "b": passing(10)})
    card = score(plan.model_copy(update={"reference": "production"}), runs, {})
    assert decided(card, "mission-critical").recommendation.sentence == "Keep production."


def test_weights_under_which_another_leads_by_score_are_named() -> None:
    plan, _ = table({"big": passing(38), "small": passing(30)})
    heavy, light = (certificate(peak_memory_mb=mb, exit_code=0) for mb in (4000.0, 100.0))
    runs = [
        run(i < first, name=name, task=task, certificate=memory)
        for name, first, memory in (("big", 38, heavy), ("small", 30, light))
        for i, task in enumerate(TASKS)
    ]
    path = trajectory(step(attempt(answer=says("ok"))))
    card = score(plan, runs, {one.trajectory: path for one in runs})
    (flip,) = [
        flip for flip in decided(card, "rapid-prototyping").recommendation.would_change if flip.kind == "weights"
    ]
    assert flip.leader == "big"
    assert flip.numbers["to"] == 1.0
    assert 0.6 < flip.numbers["from"] < 0.9


def test_how_many_failures_would_take_the_proof_and_the_lead_away() -> None:
    card = score(*table({"a": passing(38), "b": passing(28)}), {})
    (flip,) = [f for f in decided(card, "rapid-prototyping").recommendation.would_change if f.kind == "failures"]
    assert flip.text == (
        "b would lead if 11 of the 38 passed runs of a had failed; with 7 the lead would no longer be shown."
    )


def test_one_that_never_passed_is_not_said_to_lead_after_more_failures_than_there_are_passes() -> None:
    card = score(*table({"a": passing(3), "b": passing(0)}), {})
    flips = decided(card, "rapid-prototyping").recommendation.would_change
    assert [flip for flip in flips if flip.kind == "failures"] == []
