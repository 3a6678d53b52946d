from __future__ import annotations

import pytest

from scoring.attempts import attempt_cost_usd, attempts_of, pattern_of, pool_attempts
from tests.support.scored_runs import attempt, refuse, says, step, tool_step, trajectory
from trajectory.conversation import Reply, Usage
from trajectory.trajectory import AttemptView, Step

BILLED = Reply(text="x", finish="end", usage=Usage(1000, 100), model="gpt-4o")
PRICE = 0.0035
AT_S = 1_790_000_000.0


def answered(number: int = 1, **fields: object) -> AttemptView:
    return attempt(answer=BILLED, number=number, started_at=AT_S, **fields)


def retried() -> Step:
    return step(attempt(429), attempt(429, number=2), answered(number=3))


def test_patterns_tell_each_attempt_of_an_operation_in_order() -> None:
    assert pattern_of(retried()) == "429,429,200"
    lost = step(attempt(None), attempt(200, end="cut", number=2), attempt(400, end="refused", number=3))
    assert pattern_of(lost) == "no reply,cut,refused"
    assert pattern_of(step(attempt(500))) == "500"


def test_only_operations_that_did_not_succeed_at_once_have_a_pattern() -> None:
    found = attempts_of(trajectory(retried(), step(answered()), tool_step("a", status=503)))
    assert found.patterns == {"429,429,200": 1, "503": 1}
    assert (found.operations, found.retries, found.retried) == (3, 2, 1)
    assert found.wasted.attempts == 3


def test_what_was_turned_away_cost_nothing_and_what_broke_off_is_unknown() -> None:
    made = step(answered())
    assert attempt_cost_usd(made, answered()) == pytest.approx(PRICE)
    assert attempt_cost_usd(made, attempt(429)) == 0
    assert attempt_cost_usd(made, attempt(None, end="refused", verdicts=[refuse()], first_byte_s=None)) == 0
    assert attempt_cost_usd(made, attempt(200, end="cut")) is None
    assert attempt_cost_usd(made, attempt(None)) is None
    assert attempt_cost_usd(made, attempt(answer=says("no price for m"))) is None


def test_an_answer_that_was_asked_for_again_was_in_vain_and_was_paid() -> None:
    found = attempts_of(trajectory(step(answered(), answered(number=2))))
    assert (found.wasted.attempts, found.wasted.tokens) == (1, 1100)
    assert found.wasted.cost_usd == pytest.approx(PRICE)
    assert found.cost_usd == pytest.approx(2 * PRICE)


def test_a_cut_reply_makes_tokens_and_cost_of_the_run_unknown_never_0() -> None:
    found = attempts_of(trajectory(step(attempt(200, end="cut"), answered(number=2))))
    assert (found.wasted.tokens, found.wasted.cost_usd, found.cost_usd) == (None, None, None)
    assert attempts_of(trajectory(tool_step("a"))).cost_usd is None


def test_retries_are_pooled_per_operation_with_their_patterns() -> None:
    one, other = attempts_of(trajectory(retried(), step(answered(), index=1))), attempts_of(trajectory(retried()))
    pool = pool_attempts([("t1", one), ("t2", other)])
    assert pool.retry_rate.value == pytest.approx(4 / 3)
    assert pool.retried_runs.value == 1
    assert pool.patterns == {"429,429,200": 2}
    assert (pool.mean_wasted_attempts.value, pool.mean_wasted_tokens.value, pool.mean_wasted_usd.value) == (2, 0, 0)
    lost = attempts_of(trajectory(step(attempt(200, end="cut"), answered(number=2))))
    assert pool_attempts([("t1", one), ("t2", lost)]).mean_wasted_usd.value is None
    assert pool_attempts([]).retry_rate.value is None
