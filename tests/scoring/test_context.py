from __future__ import annotations

import pytest

from scoring.context import ContextUse, Makeup, context_use, makeup_of, pool_context, slope
from tests.support.scored_runs import attempt, says, step, tool_step, trajectory
from trajectory.conversation import Message, Opaque, Text, ToolCall, ToolResult

ASKED = Message("user", (Text("x" * 100),))
CALLED = Message("assistant", (ToolCall("1", "find", "y" * 16),))
TOLD = Message("tool", (ToolResult("1", "z" * 300), Opaque("image")))


def steps(*tokens: int | None) -> ContextUse:
    replies = [says("a", tokens=None if count is None else (count, 1)) for count in tokens]
    use = context_use(trajectory(*(step(attempt(answer=reply), index=i) for i, reply in enumerate(replies))))
    assert use is not None
    return use


def test_growth_is_the_slope_in_tokens_a_step() -> None:
    assert steps(100, 250, 400).growth_per_step == pytest.approx(150)
    assert steps(400, 250, 100).growth_per_step == pytest.approx(-150)
    assert slope([0, 10, 0, 10]) == pytest.approx(2.0)


def test_steps_without_usage_are_unknown_and_left_out_of_the_slope() -> None:
    use = steps(100, None, 300)
    assert use.prompt_tokens == (100, None, 300)
    assert use.growth_per_step == pytest.approx(100)
    assert use.cached_tokens is None


def test_fewer_than_two_known_steps_have_no_growth() -> None:
    assert steps(100).growth_per_step is None
    assert steps(None, None).growth_per_step is None


def test_a_run_that_asked_no_model_has_no_context() -> None:
    assert context_use(trajectory(tool_step("a"))) is None


def test_what_was_sent_before_is_counted_as_often_as_a_request_carried_it() -> None:
    """100, then 420, then 420 and the same question again, twice."""
    found = makeup_of([[ASKED], [ASKED, CALLED, TOLD], *[[ASKED, CALLED, TOLD, ASKED]] * 2])
    assert found == Makeup(characters=100 + 420 + 520 + 520, resent=100 + 420 + 520, tool_results=900)


def test_a_curve_says_at_each_step_over_how_many_runs() -> None:
    pool = pool_context([("t1", steps(100, 200, 300)), ("t2", steps(300, 400)), ("t3", steps(None, 600))])
    assert [(point.step, point.prompt_tokens.n) for point in pool.curve] == [(1, 2), (2, 3), (3, 1)]
    assert [point.prompt_tokens.value for point in pool.curve] == [200, 400, 300]
    assert pool.mean_largest.value == pytest.approx((300 + 400 + 600) / 3)


def test_a_shrinking_context_may_have_a_negative_interval() -> None:
    pool = pool_context([("t1", steps(300, 100)), ("t2", steps(300, 90))])
    assert pool.growth_per_step.high is not None
    assert pool.growth_per_step.low is not None
    assert pool.growth_per_step.low < -205 < pool.growth_per_step.high


def test_shares_are_unknown_where_no_request_was_read_and_no_provider_told_of_its_cache() -> None:
    pool = pool_context([("t1", steps(100, 200))])
    assert (pool.resent_share.value, pool.tool_result_share.value, pool.cached_share.value) == (None, None, None)
    assert "no request body" in pool.resent_share.unknown_because
    assert pool_context([]).curve == ()
