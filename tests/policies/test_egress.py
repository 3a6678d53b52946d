from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.egress import MB, EgressLimit
from policies.memory_ledger import MemoryLedger
from policies.verdict import ALLOW, Refuse
from trajectory.events import BytesMoved, CallProposed, ModelAsked, ToolAsked

CONFIGURED = ("api.openai.com", "127.0.0.1:9000")


def model(host: str = "api.openai.com", body_bytes: int = 10) -> ModelAsked:
    return ModelAsked("t", "openai", host, "m", "d", body_bytes)


def tool(host: str, upstream: str | None = None, body_bytes: int = 10) -> ToolAsked:
    return ToolAsked("t", upstream, host, "x", "d", body_bytes)


@pytest.mark.parametrize(
    "host", ["evil.test", "api.openai.com.evil.test", "127.0.0.1:9001", "127.0.0.1", "api.openai.com:8443", "a\nb", ""]
)
@pytest.mark.parametrize("hosts", [None, (), ("*.corp.test",)])
def test_host_that_nobody_allowed_is_refused(host: str, hosts: tuple[str, ...] | None) -> None:
    rule = EgressLimit(None, hosts, CONFIGURED)
    for event in (tool(host), tool(host, upstream="orders"), model(host)):
        verdict = rule.judge(event, MemoryLedger())
        assert isinstance(verdict, Refuse)
        assert (verdict.code, verdict.rule) == ("egress_host_refused", "egress_limit")
        assert verdict.message.isprintable()
        assert "api.openai.com" in verdict.message
        assert "policies.egress.hosts" in verdict.message


def test_configured_and_matching_hosts_pass() -> None:
    rule = EgressLimit(None, ("*.corp.test",), CONFIGURED)
    for event in (
        model(),
        model("api.openai.com:443"),
        tool("127.0.0.1:9000", "orders"),
        tool("a.corp.test"),
        tool("A.CORP.test:8080"),
    ):
        assert rule.judge(event, MemoryLedger()) == ALLOW


def test_bytes_beyond_the_limit_are_refused_and_not_counted() -> None:
    rule, ledger = EgressLimit(100, None, CONFIGURED), MemoryLedger()
    assert rule.judge(BytesMoved("t", "api.openai.com", sent=60, received=30), ledger) == ALLOW
    refusal = rule.judge(BytesMoved("t", "api.openai.com", received=11), ledger)
    assert isinstance(refusal, Refuse)
    assert refusal.code == "egress_budget_exhausted"
    assert "90 of 100 bytes" in refusal.message
    assert rule.judge(BytesMoved("t", "api.openai.com", received=10), ledger) == ALLOW
    assert rule.judge(BytesMoved("u", "api.openai.com", received=100), ledger) == ALLOW, "each trajectory has its own"


def test_only_what_is_sent_counts_if_so_set() -> None:
    rule, ledger = EgressLimit(100, None, CONFIGURED, "sent"), MemoryLedger()
    assert rule.judge(BytesMoved("t", "h", sent=100, received=10**9), ledger) == ALLOW
    assert rule.judge(BytesMoved("t", "h", received=1), ledger) == ALLOW
    assert isinstance(rule.judge(BytesMoved("t", "h", sent=1), ledger), Refuse)


def test_ask_whose_body_no_longer_fits_is_refused_before_anything_is_sent() -> None:
    rule, ledger = EgressLimit(100, None, CONFIGURED), MemoryLedger()
    rule.judge(BytesMoved("t", "h", sent=60), ledger)
    assert isinstance(rule.judge(model(body_bytes=41), ledger), Refuse)
    assert rule.judge(model(body_bytes=40), ledger) == ALLOW
    assert ledger.total("egress:t") == 60, "an ask only looks; the bytes count when they move"


def test_ask_without_a_body_is_refused_when_nothing_is_left_for_the_reply() -> None:
    rule, ledger = EgressLimit(100, None, CONFIGURED), MemoryLedger()
    rule.judge(BytesMoved("t", "h", sent=100), ledger)
    assert isinstance(rule.judge(tool("127.0.0.1:9000", "orders", 0), ledger), Refuse)
    assert isinstance(EgressLimit(0, None, CONFIGURED).judge(model(body_bytes=0), ledger), Refuse)


def test_without_a_limit_nothing_is_counted() -> None:
    ledger = MemoryLedger()
    assert EgressLimit(None, None, CONFIGURED).judge(BytesMoved("t", "h", 10**15, 10**15), ledger) == ALLOW
    assert ledger.total("egress:t") == 0


def test_other_events_pass() -> None:
    assert EgressLimit(0, None, ()).judge(CallProposed("t", "x"), MemoryLedger()) == ALLOW


def test_refusal_says_megabytes_of_1024_times_1024() -> None:
    refusal = EgressLimit(2 * MB, None, CONFIGURED).judge(BytesMoved("t", "h", sent=3 * MB), MemoryLedger())
    assert isinstance(refusal, Refuse)
    assert "0.00 of 2.00 MB" in refusal.message


@given(
    limit=st.integers(0, 200),
    chunks=st.lists(st.tuples(st.sampled_from("tu"), st.integers(0, 90), st.integers(0, 90))),
)
def test_what_passes_never_exceeds_the_limit(limit: int, chunks: list[tuple[str, int, int]]) -> None:
    rule, ledger, moved = EgressLimit(limit, None, ()), MemoryLedger(), {"t": 0, "u": 0}
    for trajectory, sent, received in chunks:
        if rule.judge(BytesMoved(trajectory, "h", sent, received), ledger) == ALLOW:
            moved[trajectory] += sent + received
        assert moved[trajectory] == ledger.total(f"egress:{trajectory}") <= limit
