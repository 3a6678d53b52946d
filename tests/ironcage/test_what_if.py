from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironcage.what_if import Rejudged, rejudge
from policies.constraints import Constraints
from policies.settings import PolicySettings
from tests.support.attempts import model_attempt, tool_attempt
from trajectory.conversation import Reply, ToolCall, ToolDefinition, Usage
from trajectory.memory import MemoryStore
from trajectory.record import Attempt, ToolUse, VerdictNote
from trajectory.trajectory import OutcomeLabel


def tried(attempts: list[Attempt], label: OutcomeLabel | None = None, policies: Any = None, **limits: Any) -> Rejudged:
    store = MemoryStore()
    store.append(attempts)
    if label:
        store.label("s-1", label, "")
    constraints = Constraints.model_validate({"constraints": limits})
    return rejudge(store.trajectory("s-1"), constraints, PolicySettings.model_validate(policies or {}), [])


def asked(place: int = 0, /, *names: str, **rest: Any) -> Attempt:
    calls = tuple(ToolCall(f"c{n}", name, "{}") for n, name in enumerate(names))
    offered = tuple(ToolDefinition(name) for name in ("look", "pay"))
    return model_attempt(place, **{"answer": Reply("", calls, "tool_call"), "tools": offered, **rest})


def used(number: int, name: str, **rest: Any) -> Attempt:
    return tool_attempt(number, **{"tool": ToolUse(name, "{}"), "verdicts": (), **rest})


def codes(result: Rejudged) -> list[tuple[int, str, str]]:
    return [(change.step, change.code, change.subject) for change in result.refused]


def test_no_limits_refuse_nothing() -> None:
    result = tried([asked(0, "look", "pay"), used(1, "look"), used(2, "pay")], "passed")
    assert (result.refused, result.passed, result.breaks_a_pass) == ((), (), False)


def test_tool_that_would_not_be_allowed_is_refused_where_it_was_proposed_and_where_it_was_called() -> None:
    result = tried([asked(0, "look", "pay"), used(1, "look"), used(2, "pay")], "passed", allowed_tools=["look"])
    assert codes(result) == [(0, "tool_not_allowed", "pay"), (2, "tool_not_allowed", "pay")]
    assert result.no_longer_offered == ("pay",)
    assert result.breaks_a_pass


def test_tool_of_an_mcp_server_is_known_by_both_its_names() -> None:
    read = used(0, "read", wire="mcp", upstream="files")
    assert tried([read], allowed_tools=["mcp__files__*"]).refused == ()
    assert codes(tried([read], allowed_tools=["mcp__web__*"])) == [(0, "tool_not_allowed", "read")]


def test_calls_are_judged_by_the_arguments_that_were_recorded() -> None:
    rules = {"tools": {"arguments": {"pay": {"amount": {"max": 5}}}}}
    calls = tuple(ToolCall(f"c{n}", "pay", f'{{"amount":{n}}}') for n in (5, 6))
    proposed = asked(0, answer=Reply("", calls, "tool_call"))
    called = used(1, "pay", tool=ToolUse("pay", '{"amount":7}'))
    assert codes(tried([proposed, called], policies=rules)) == [
        (0, "tool_arguments_refused", "pay"),
        (1, "tool_arguments_refused", "pay"),
    ]


def test_only_a_run_labelled_passed_counts_as_broken() -> None:
    for label, expected in ((None, False), ("failed", False), ("passed", True)):
        assert tried([asked(0, "pay")], label, allowed_tools=["look"]).breaks_a_pass is expected  # type: ignore[arg-type]


def test_retries_are_counted_over_all_operations_of_the_trajectory() -> None:
    failed = {"end": "failed", "status": 503, "answer": None}
    attempts = [
        asked(0, digest="a", operation="a", **failed),
        asked(1, digest="a", operation="a", number=2),
        asked(2, digest="b", operation="b", **failed),
        asked(3, digest="b", operation="b", number=2),
    ]
    assert codes(tried(attempts, max_retries=1)) == [(1, "retry_budget_exhausted", "openai")]
    assert tried(attempts, max_retries=2).refused == ()
    assert len(tried(attempts, max_retries=0).refused) == 2


def test_bytes_are_counted_until_the_limit_and_nothing_passes_after_it() -> None:
    half = 512 * 1024
    attempts = [used(n, "look", request_bytes=half, reply_bytes=half) for n in range(3)]
    assert [step for step, code, _ in codes(tried(attempts, network_egress_limit_mb=2))] == [2]
    assert tried(attempts, network_egress_limit_mb=3).refused == ()
    assert {code for _, code, _ in codes(tried(attempts, network_egress_limit_mb=1))} == {"egress_budget_exhausted"}


def test_money_and_context_are_counted_as_the_provider_counted_them() -> None:
    prices = {"spend": {"prices": {"*": {"input": 1, "output": 1}}}}
    turns = [
        asked(n, answer=Reply("ok", usage=Usage(tokens, 100_000)), extra={"max_tokens": "200000"})
        for n, tokens in enumerate((100_000, 300_000, 500_000))
    ]
    # 0.2 and 0.4 dollars are spent; the last may cost 0.7 and a frame
    assert codes(tried(turns, policies=prices, spend_limit_usd=1.31)) == []
    assert codes(tried(turns, policies=prices, spend_limit_usd=1.30)) == [(2, "spend_budget_exhausted", "model-a")]
    assert codes(tried(turns, spend_limit_usd=10)) == [(n, "spend_budget_exhausted", "model-a") for n in range(3)]
    assert codes(tried(turns, context_limit_tokens=300_000)) == [(2, "context_budget_exhausted", "model-a")]


def test_host_that_was_no_upstream_needs_to_be_named() -> None:
    web = used(0, "", kind="web", tool=None, upstream="cdn.example.net", host="cdn.example.net")
    assert codes(tried([web])) == [(0, "egress_host_refused", "cdn.example.net")]
    assert tried([web], egress_hosts=["*.example.net"]).refused == ()


def test_refusal_that_was_and_would_not_be_is_told() -> None:
    note = VerdictNote("refuse", "tool_allowlist", "tool_not_allowed", "no", "pay")
    attempts = [asked(0, "pay", verdicts=(note,))]
    freed = tried(attempts, allowed_tools=["look", "pay"])
    assert [(change.code, change.subject) for change in freed.passed] == [("tool_not_allowed", "pay")]
    assert freed.refused == ()
    same = tried(attempts, allowed_tools=["look"])
    assert (same.refused, same.passed) == ((), ())


@pytest.mark.parametrize("code", ["route_refused", "unreadable_body"])
def test_what_was_refused_before_any_rule_was_asked_stays_out_of_it(code: str) -> None:
    note = VerdictNote("refuse", "route", code, "no", "files")
    lost = used(0, "", kind="web", tool=None, upstream="", host="", end="refused", status=400, verdicts=(note,))
    unread = asked(1, end="refused", status=400, verdicts=(note,))
    result = tried([lost, unread], spend_limit_usd=0)
    assert (result.refused, result.passed) == ((), ())


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 10**6)), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(0, 3),
    st.floats(0.001, 4),
    st.floats(0.001, 4),
)
def test_a_wider_limit_never_refuses_a_trajectory_that_a_narrow_one_lets_pass(
    asks: list[tuple[str, bool, int]], retries: int, more: int, limit_mb: float, more_mb: float
) -> None:
    attempts = [
        asked(n, digest=digest, operation=f"{digest}{n}", request_bytes=size, reply_bytes=size,
              **({} if works else {"end": "failed", "status": 500}))
        for n, (digest, works, size) in enumerate(asks)
    ]  # fmt: skip
    narrow = tried(attempts, max_retries=retries, network_egress_limit_mb=limit_mb)
    wide = tried(attempts, max_retries=retries + more, network_egress_limit_mb=limit_mb + more_mb)
    assert not (wide.refused and not narrow.refused)
