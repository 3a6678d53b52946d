"""A lead is shown only where every way of looking at it agrees."""

from __future__ import annotations

from scoring.decision.decide import decide
from scoring.decision.model import Recommendation
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.scored_runs import run, table
from trajectory.runs import Run


def advised(card: Scorecard) -> Recommendation:
    decision = decide(card, "rapid-prototyping", trajectories={}).decision
    assert decision is not None
    return decision.recommendation


def broken(name: str, task: str) -> Run:
    return run(None, name=name, task=task, status="harness_error", error="lost")


def test_a_lead_that_only_all_counted_runs_show_is_not_shown() -> None:
    tasks = [f"t{i}" for i in range(30)]
    plan, runs = table({"a": {t: [True] for t in tasks}, "b": {t: [i < 9] for i, t in enumerate(tasks)}})
    runs = [broken("b", r.task) if r.candidate.name == "b" and int(r.task[1:]) >= 10 else r for r in runs]
    card = score(plan, runs, {})
    assert (card.pairs[0].all_counted.p_value or 1) < 0.001
    advice = advised(card)
    assert (advice.candidate, advice.margins[0].p_value) == (None, 1.0)


def test_a_lead_that_turns_when_all_runs_count_is_not_shown_however_small_both_p_are() -> None:
    tasks = [f"t{i}" for i in range(60)]
    plan, runs = table({"a": {t: [True] for t in tasks}, "b": {t: [i < 5 or i >= 20] for i, t in enumerate(tasks)}})
    runs = [broken("a", r.task) if r.candidate.name == "a" and int(r.task[1:]) >= 20 else r for r in runs]
    card = score(plan, runs, {})
    assert max(r.p_value or 0 for r in (card.pairs[0].as_scored, card.pairs[0].all_counted)) < 0.01
    advice = advised(card)
    assert (advice.leader, advice.candidate) == ("a", None)


def test_a_lead_below_the_noise_floor_is_not_shown() -> None:
    passed = {"a": [3, 3, 3, 3, 3, 3, 3, 2], "b": [2] * 8}
    plan, runs = table({name: {f"t{i}": [k < n for k in range(4)] for i, n in enumerate(counts)}
                        for name, counts in passed.items()})  # fmt: skip
    card = score(plan, runs, {})
    assert (card.pairs[0].as_scored.p_holm or 1) < 0.001
    advice = advised(card)
    assert (advice.leader, advice.candidate, advice.margins[0].is_shown) == ("a", None, False)
