from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.retries import RetryBudget
from policies.verdict import ALLOW, Refuse
from trajectory.events import AttemptEnded, End, ModelAsked, ToolAsked


def ask(digest: str = "d", trajectory: str = "t") -> ModelAsked:
    return ModelAsked(trajectory, "openai", "api.openai.com", "m", digest, body_bytes=10)


def tool(digest: str = "d") -> ToolAsked:
    return ToolAsked("t", None, "example.com", "", digest, body_bytes=10)


def engine(max_retries: int, **settings: str) -> Engine:
    return Engine([RetryBudget(max_retries, **settings)], MemoryLedger())  # type: ignore[arg-type]


def test_refused_retry_does_not_make_the_next_one_free() -> None:
    judge = engine(0)
    judge.judge(ask())
    judge.settle(AttemptEnded("t", "d", "failed"))
    for _ in range(5):
        assert isinstance(judge.judge(ask()), Refuse)
        judge.settle(AttemptEnded("t", "d", "refused"))


def test_repeating_what_policy_refused_costs_no_retry() -> None:
    """It never reached the upstream; the rule that refused it refuses it again."""
    judge = engine(0)
    judge.settle(AttemptEnded("t", "d", "refused"))
    assert judge.judge(ask()) == ALLOW


def test_spreading_retries_over_operations_gives_no_more_of_them() -> None:
    judge = engine(3)
    for digest in "abcdef":
        judge.judge(ask(digest))
        judge.settle(AttemptEnded("t", digest, "failed"))
    passed = [not isinstance(judge.judge(ask(digest)), Refuse) for digest in "abcdef"]
    assert passed == [True, True, True, False, False, False]


def test_tool_calls_draw_on_the_same_budget() -> None:
    judge = engine(1)
    for event in (ask("m"), tool("x")):
        judge.judge(event)
        judge.settle(AttemptEnded("t", event.digest, "failed"))
    assert judge.judge(tool("x")) == ALLOW
    assert isinstance(judge.judge(ask("m")), Refuse)


@pytest.mark.parametrize("end", ["failed", "cut", "aborted"])
def test_repeating_what_did_not_end_well_is_a_retry(end: End) -> None:
    judge = engine(0)
    judge.settle(AttemptEnded("t", "d", end))
    assert isinstance(judge.judge(ask()), Refuse)


def test_repeating_what_succeeded_is_no_retry() -> None:
    judge = engine(0)
    for _ in range(9):
        assert judge.judge(ask()) == ALLOW
        judge.settle(AttemptEnded("t", "d", "complete"))


def test_budgets_of_trajectories_are_apart() -> None:
    judge = engine(0)
    judge.settle(AttemptEnded("t", "d", "failed"))
    assert judge.judge(ask(trajectory="u")) == ALLOW


def test_refusal_says_count_and_limit_and_that_other_requests_are_allowed() -> None:
    judge = engine(2)
    judge.settle(AttemptEnded("t", "d", "failed"))
    judge.judge(ask())
    judge.judge(ask())
    refusal = judge.judge(ask())
    assert isinstance(refusal, Refuse)
    assert (refusal.code, refusal.rule, refusal.ending) == ("retry_budget_exhausted", "retry_budget", "error")
    assert "2 of 2 retries" in refusal.message
    assert "max_retries" in refusal.message


def test_final_message_is_for_models_only() -> None:
    judge = engine(0, on_exhausted="final_message")
    judge.settle(AttemptEnded("t", "d", "failed"))
    refused_model, refused_tool = judge.judge(ask()), judge.judge(tool())
    assert isinstance(refused_model, Refuse)
    assert isinstance(refused_tool, Refuse)
    assert (refused_model.ending, refused_tool.ending) == ("final_message", "error")


@given(
    limit=st.integers(0, 4),
    attempts=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["complete", "failed", "cut", "aborted"]))),
)
def test_no_more_retries_pass_than_the_budget_has(limit: int, attempts: list[tuple[str, End]]) -> None:
    judge, failed, retries = engine(limit), set[str](), 0
    for digest, end in attempts:
        is_retry = digest in failed
        refused = isinstance(judge.judge(ask(digest)), Refuse)
        assert refused == (is_retry and retries == limit)
        if refused:
            judge.settle(AttemptEnded("t", digest, "refused"))
            continue
        retries += is_retry
        judge.settle(AttemptEnded("t", digest, end))
        (failed.discard if end == "complete" else failed.add)(digest)
    assert retries <= limit
