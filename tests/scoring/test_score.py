from __future__ import annotations

import json
import time

import pytest

from scoring.score import score
from scoring.scorecard import CandidateRow, Scorecard
from tests.support.scored_datasets import airline, retail, sweep
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
from trajectory.runs import Limits, Served

SWEEP_CORRECT = [15, 18, 18, 17, 17, 13, 13]


def row_of(card: Scorecard, name: str) -> CandidateRow:
    return next(row for row in card.candidates if row.candidate.name == name)


def cautions(card: Scorecard, kind: str) -> list[str]:
    return [caution.text for caution in card.cautions if caution.kind == kind]


def test_airline_pass_k_and_errors_are_the_published_ones() -> None:
    row = score(*airline()).candidates[0]
    assert [round(p.pass_hat_k or 0, 4) for p in row.pass_k] == [0.4200, 0.2733, 0.2200, 0.2000]
    assert (row.passed, row.runs, row.tasks) == (84, 200, 50)
    assert row.naive_error == pytest.approx(0.035, abs=5e-4)
    assert row.standard_error == pytest.approx(0.052, abs=5e-4)
    assert row.design_effect == pytest.approx(2.2, abs=0.05)
    assert "effective n 89.8" in row.success.method


def test_retail_difference_is_seen_and_said_to_rest_on_the_crashes() -> None:
    card = score(*retail("assertions-6-20", "assertions-6-18"))
    pair = card.pairs[0]
    assert (len(pair.all_counted.only_a), len(pair.all_counted.only_b)) == (25, 11)
    assert round(pair.all_counted.p_value or 0, 3) == 0.029
    assert (pair.as_scored.tasks, pair.as_scored.passed_a, pair.as_scored.passed_b) == (63, 33, 34)
    assert [round(row.success_all_counted.value or 0, 2) for row in card.candidates] == [0.49, 0.35]
    assert [row.faults["infra.harness"] for row in card.candidates] == [5, 34]
    (text,) = cautions(card, "difference_rests_on_faults")
    assert "discordant 25:11, p = 0.029" in text
    assert "33 against 34 of 63" in text
    assert len(cautions(card, "ranking_flip")) == 2


def test_all_39_retail_crashes_are_classified_with_their_error() -> None:
    card = score(*retail("plain", "advice", "assertions-6-18", "assertions-6-20"))
    crashes = [row for row in card.runs if row.fault and row.fault.name == "infra.harness"]
    assert len(crashes) == 39
    assert all(len(row.fault.evidence[0].what) > len("run.status harness_error: ") for row in crashes if row.fault)


def test_medagentbench_counts_rates_and_rankings_are_the_data_sets() -> None:
    card = score(*sweep())
    fable = card.candidates[0]
    assert [row.passed for row in card.candidates] == SWEEP_CORRECT
    assert (fable.success.value, fable.success.n, fable.success_all_counted.value) == (0.75, 20, 0.6)
    assert fable.success_bounds == (0.6, 0.8)
    assert fable.faults == {"infra.empty_completion": 5, "model.wrong": 5}
    ranks = [{p.candidate: p.rank for p in ranking.places}["claude-fable-5"] for ranking in card.rankings]
    assert ranks == [1, 5, 1]


def test_medagentbench_flip_is_warned_of_and_no_pair_differs() -> None:
    card = score(*sweep())
    (flip,) = cautions(card, "ranking_flip")
    assert "claude-fable-5" in flip
    assert "1st of 7 with infrastructure faults excluded (75.0 %, 15 of 20)" in flip
    assert "5th of 7 with all runs counted (60.0 %, 15 of 25)" in flip
    assert "5 infra.empty_completion" in flip
    assert min(pair.all_counted.p_value or 1 for pair in card.pairs) == 0.0625
    assert card.conclusions[0].startswith("None of the 21 pairs differs in success at the 0.05 level")
    assert "Smallest p 0.062 with all runs counted" in card.conclusions[1]


def test_medagentbench_empty_completions_quote_their_evidence() -> None:
    empty = [row for row in score(*sweep()).runs if row.fault and row.fault.code == "empty_completion"]
    assert len(empty) == 5
    for row in empty:
        assert row.fault is not None
        assert row.fault.evidence[0].what == "HTTP 200, no text, no tool call, finish reason length, `max_tokens` 1024"


def test_medagentbench_score_is_unknown_without_memory_never_0() -> None:
    card = score(*sweep())
    assert all(row.efficiency.value is None and row.score.value is None for row in card.candidates)
    assert len(card.candidates[1].runs_without_memory) == 25
    (text,) = cautions(card, "memory_unknown")
    assert "25 runs of claude-opus-5" in text
    assert "unknown = 0.6 * 0.7500" in card.formulas[1].with_values


def test_a_full_row_puts_every_measure_into_the_formulas() -> None:
    limits = Limits(memory_mb=512, cpu_s=30)
    plan = bakeoff(["m"], ["t1", "t2", "t3", "t4"])
    ok = certificate(limits, peak_memory_mb=256.0, exit_code=0)
    runs = [
        run(True, task="t1", certificate=ok),
        run(True, task="t2", certificate=ok),
        run(False, task="t3", certificate=certificate(limits, peak_memory_mb=512.0, kill_cause="memory", signal=9)),
        run(False, task="t4", certificate=certificate(limits, peak_memory_mb=256.0, kill_cause="cpu_time", signal=9)),
    ]
    path = trajectory(step(attempt(429), attempt(answer=calls("a", "b"), number=2)), tool_step("a", index=1))
    card = score(plan, runs, {one.trajectory: path for one in runs})
    row = card.candidates[0]
    assert (row.success.value, row.oom_rate.value, row.timeout_rate.value) == (0.5, 0.25, 0.25)
    assert (row.mean_peak_memory_mb.value, row.mean_tool_calls.value, row.mean_retries.value) == (320.0, 2.0, 1.0)
    assert row.efficiency.value == pytest.approx(0.5 / (1 + 320 / 1024 + 0.2))
    assert row.score.value == pytest.approx(0.3 + 0.4 * 0.5 / (1 + 320 / 1024 + 0.2) - 0.25 - 0.2)
    assert row.faults == {"infra.oom": 1, "timeout.cpu": 1}
    assert (row.excluded, row.operations, row.attempts) == (0, 8, 12)


def test_runs_with_another_fingerprint_are_refused_and_said() -> None:
    plan, runs = table({"a": {"t1": [True], "t2": [True]}, "b": {"t1": [False], "t2": [True]}})
    runs[3] = runs[3].model_copy(update={"fingerprint": "0" * 32})
    card = score(plan, runs, {})
    assert (row_of(card, "b").runs, row_of(card, "b").passed) == (1, 0)
    assert [refused.run for refused in card.refused_runs] == ["b/t2/0"]
    assert cautions(card, "fingerprint_differs")[0].startswith("1 run of b left out")
    assert cautions(card, "runs_missing") == ["b: 1 of 2 planned runs missing."]


def test_what_kept_a_candidate_from_running_is_said_at_once() -> None:
    plan, runs = table({"a": {"t1": [True]}, "b": {"t1": [True]}})
    runs[1] = runs[1].model_copy(update={"status": "harness_error", "error": "no such\nmodel " + "x" * 900})
    (said,) = cautions(score(plan, runs, {}), "infra_excluded")
    assert "1 infra.harness, for example: " in said
    assert "no such model" in said
    assert len(said) < 400


def test_the_first_of_two_results_stands() -> None:
    plan = bakeoff(["m"], ["t1"])
    later = run(True, started_at=2.0).model_copy(update={"id": "later"})
    card = score(plan, [later, run(False, started_at=1.0)], {})
    assert (card.candidates[0].passed, card.candidates[0].runs) == (0, 1)
    assert "later" in cautions(card, "duplicate_run")[0]


def test_unknown_outcomes_are_in_no_rate_and_widen_the_bounds() -> None:
    card = score(*table({"m": {"t1": [True], "t2": [None], "t3": [False], "t4": [True]}}), {})
    row = card.candidates[0]
    assert (row.success.value, row.success.n, row.unknown_runs) == (pytest.approx(2 / 3), 3, 1)
    assert row.success_bounds == (0.5, 0.75)
    assert cautions(card, "unknown_outcomes") == ["m: 1 run of 4 without a decided check."]


def test_run_below_the_minimal_fidelity_is_reported_and_in_no_ranking() -> None:
    lost = (Served(tool="a", arguments="{}", fidelity="missing"),)
    runs = [run(True, served=lost, min_fidelity=0.5), run(False, task="t2", min_fidelity=0.5)]
    card = score(bakeoff(["m"], ["t1", "t2"]), runs, {})
    assert [row.counting for row in card.runs] == ["unknown", "scored"]
    assert (card.candidates[0].success.value, card.candidates[0].success.n) == (0.0, 1)
    assert cautions(card, "below_min_fidelity") == [
        "m: 1 run of 2 not ranked: too many tool results missing or possibly stale."
    ]
    assert cautions(card, "unknown_outcomes") == []


def test_a_pass_over_the_limit_counts_as_pass_and_is_penalised() -> None:
    over = certificate(Limits(memory_mb=512), peak_memory_mb=600.0, exit_code=0)
    card = score(bakeoff(["m"], ["t1"]), [run(True, certificate=over)], {})
    row = card.candidates[0]
    assert (row.passed, row.oom_rate.value, row.timeout_rate.value) == (1, 1.0, 0.0)
    assert row.timeout_rate.method == "no limit was set, so none could be hit"
    assert "m/t1/0" in cautions(card, "passed_over_limit")[0]


def test_fidelity_and_violations_are_added_up_per_candidate() -> None:
    served = (
        Served(tool="a", arguments="{}", fidelity="exact"),
        Served(tool="b", arguments="{}", fidelity="missing"),
    )
    path = trajectory(step(attempt(answer=calls("x"), verdicts=[refuse(count=2)])))
    card = score(bakeoff(["m"], ["t1"]), [run(True, served=served)], {"m/t1/0": path})
    row = card.candidates[0]
    assert row.fidelity == {"exact": 1, "missing": 1}
    assert row.violations == {"tool_not_allowed": 2}
    assert cautions(card, "tool_results_missing") == ["m: 1 of 2 tool results not answered by the world."]


def test_results_that_a_model_made_up_are_counted_apart_and_warned_of() -> None:
    served = (
        Served(tool="a", arguments="{}", fidelity="live"),
        Served(tool="b", arguments="{}", fidelity="written"),
    )
    card = score(bakeoff(["m"], ["t1"]), [run(True, served=served)], {})
    assert card.candidates[0].fidelity == {"live": 1, "written": 1}
    (said,) = cautions(card, "tool_results_written")
    assert said.startswith("m: 1 of 2 tool results made up by a model")


def test_no_run_at_all_is_unknown_throughout() -> None:
    card = score(bakeoff(["a", "b"], ["t1"]), [], {})
    assert card.conclusions == ("No run could be scored, so nothing can be concluded.",)
    assert all(row.success.value is None and row.success_bounds is None for row in card.candidates)


def test_recorded_production_stands_beside_the_candidates() -> None:
    plan = bakeoff(["m"], ["t1"], reference="prod")
    card = score(plan, [run(True), run(True, name="prod")], {})
    assert [(row.candidate.name, row.is_reference) for row in card.candidates] == [("prod", True), ("m", False)]


def test_a_scorecard_survives_json_and_has_a_schema() -> None:
    card = score(*sweep())
    assert Scorecard.model_validate_json(card.model_dump_json()) == card
    assert Scorecard.model_json_schema()["properties"]["candidates"]
    assert json.loads(card.model_dump_json())["candidates"][0]["score"]["value"] is None


def test_ten_thousand_runs_are_scored_in_seconds() -> None:
    names, tasks, trials = [f"m{i}" for i in range(5)], [f"t{i}" for i in range(400)], 5
    plan = bakeoff(names, tasks, trials)
    path = trajectory(
        *(step(attempt(answer=calls("a")), index=2 * i) for i in range(6)),
        step(attempt(answer=says("done")), index=12),
    )
    runs = [
        run((i + j + k) % 3 > 0, name=name, task=task, trial=k)
        for i, name in enumerate(names)
        for j, task in enumerate(tasks)
        for k in range(trials)
    ]
    started = time.process_time()
    card = score(plan, runs, {one.trajectory: path for one in runs})
    assert len(card.runs) == 10_000
    assert time.process_time() - started < 6
