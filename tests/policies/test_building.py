from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.building import build_rules
from policies.constraints import Constraints
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.settings import PolicySettings
from policies.verdict import ALLOW, DropTools, Refuse, Verdict
from trajectory.conversation import Usage
from trajectory.errors import OperatorError
from trajectory.events import AttemptEnded, BytesMoved, CallProposed, Event, ModelAsked, PromptSize, ToolAsked

HOSTS = ["api.openai.com", "127.0.0.1:9000"]
ASK = ModelAsked("t", "openai", "api.openai.com", "m", "d", 1000, ("a", "b"), prompt=PromptSize())

PAID = ModelAsked("t", "openai", "api.openai.com", "gpt-4o", "d", 9, at_s=1.75e9, prompt=PromptSize(text_bytes=99))


def engine(limits: dict[str, object], **policies: object) -> Engine:
    constraints = Constraints.model_validate({"constraints": limits})
    return Engine(build_rules(constraints, PolicySettings.model_validate(policies), HOSTS), MemoryLedger())


def codes(*verdicts: Verdict) -> list[str]:
    return [verdict.code if isinstance(verdict, Refuse) else type(verdict).__name__ for verdict in verdicts]


def test_hosts_are_judged_even_if_nothing_is_limited() -> None:
    free = engine({})
    assert codes(free.judge(ASK), free.judge(CallProposed("t", "any"))) == ["Allow", "Allow"]
    assert codes(free.judge(ToolAsked("t", None, "evil.test", "x", "d", 1))) == ["egress_host_refused"]


def test_each_limit_makes_its_rule() -> None:
    limited = engine({"max_retries": 0, "allowed_tools": ["a"], "network_egress_limit_mb": 1})
    assert isinstance(limited.judge(ASK), DropTools)
    limited.settle(AttemptEnded("t", "d", "failed"))
    verdicts = (
        limited.judge(ASK),
        limited.judge(CallProposed("t", "b")),
        limited.judge(BytesMoved("t", "api.openai.com", received=1024 * 1024 + 1)),
    )
    assert codes(*verdicts) == ["retry_budget_exhausted", "tool_not_allowed", "egress_budget_exhausted"]


def test_settings_reach_their_rules() -> None:
    strict = engine(
        {"max_retries": 0, "allowed_tools": ["a"], "network_egress_limit_mb": 1},
        retries={"on_exhausted": "final_message"},
        tools={"offered": "refuse"},
        egress={"hosts": ["*.corp.test"], "count": "sent"},
    )
    assert codes(strict.judge(ASK)) == ["tool_not_allowed"]
    assert strict.judge(ToolAsked("t", None, "a.corp.test", "x", "d", 1)) == ALLOW
    assert strict.judge(BytesMoved("t", "api.openai.com", received=10**9)) == ALLOW
    strict.settle(AttemptEnded("t", "e", "cut"))
    retry = strict.judge(ModelAsked("t", "openai", "api.openai.com", "m", "e", 1))
    assert isinstance(retry, Refuse)
    assert retry.ending == "final_message"


def test_prices_and_limits_of_spend_and_context_reach_their_rules() -> None:
    prices = {"local/*": {"input": 0, "output": 0}, "m": {"input": 5, "output": 10, "cache_read": 0.5}}
    spend = {"prices": prices, "per": "session", "assumed_output_tokens": 1_000, "on_exhausted": "final_message"}
    built = engine({"spend_limit_usd": 0.02, "context_limit_tokens": 50}, spend=spend)
    assert built.judge(ASK) == ALLOW
    refused = built.judge(ModelAsked("another", "openai", "api.openai.com", "m", "d", 1, prompt=PromptSize()))
    assert isinstance(refused, Refuse)
    assert (refused.code, refused.ending) == ("spend_budget_exhausted", "final_message")
    assert built.judge(ModelAsked("t", "local", "127.0.0.1:9000", "llama", "d", 1, prompt=PromptSize())) == ALLOW
    long = ModelAsked("t", "local", "127.0.0.1:9000", "llama", "d", 1, prompt=PromptSize(tokens=51))
    assert codes(built.judge(long)) == ["context_budget_exhausted"]


def test_refused_retry_costs_no_retry() -> None:
    """A retry that the allowlist or the egress limit refuses must leave the retry budget whole."""
    limited = engine({"max_retries": 1, "allowed_tools": ["a"]}, tools={"offered": "refuse"})
    limited.settle(AttemptEnded("t", "d", "failed"))
    for _ in range(3):
        assert codes(limited.judge(ASK)) == ["tool_not_allowed"]
    allowed = ModelAsked("t", "openai", "api.openai.com", "m", "d", 1000, ("a",))
    assert codes(limited.judge(allowed), limited.judge(allowed)) == ["Allow", "retry_budget_exhausted"]


def test_hosts_of_the_constraints_file_hold() -> None:
    by_file = engine({"egress_hosts": ["a.test"]})
    assert by_file.judge(ToolAsked("t", None, "a.test", "x", "d", 1)) == ALLOW


def test_hosts_named_twice_are_an_operator_error() -> None:
    with pytest.raises(OperatorError, match="both"):
        engine({"egress_hosts": ["a.test"]}, egress={"hosts": ["b.test"]})


@pytest.mark.parametrize("host", ["http://a.test", "*", "*.test", ""])
def test_upstream_host_that_cannot_be_read_is_an_operator_error(host: str) -> None:
    with pytest.raises(OperatorError, match="upstream host"):
        build_rules(Constraints(), PolicySettings(), [host])


limits = st.fixed_dictionaries(
    {},
    optional={
        "max_retries": st.integers(0, 2),
        "allowed_tools": st.sampled_from([[], ["a"], ["a*"]]),
        "network_egress_limit_mb": st.sampled_from([0, 0.001, 1]),
        "spend_limit_usd": st.sampled_from([0, 0.33, 1]),
        "context_limit_tokens": st.sampled_from([1, 100]),
    },
)
events: st.SearchStrategy[Event] = st.sampled_from(
    [
        ASK,
        ModelAsked("t", "openai", "evil.test", "m", "d", 1000, ("a",)),
        PAID,
        AttemptEnded("t", "d", "complete", asked=PAID, usage=Usage(100, 100)),
        ToolAsked("t", "orders", "127.0.0.1:9000", "a", "e", 10),
        CallProposed("t", "b"),
        BytesMoved("t", "api.openai.com", 700, 0),
        AttemptEnded("t", "d", "failed"),
    ]
)


@given(limits=limits, history=st.lists(events, max_size=15), event=events)
def test_limits_only_take_away(limits: dict[str, object], history: list[Event], event: Event) -> None:
    """Whatever happened before, what limits let pass also passes without them."""
    limited, free = engine(limits), engine({})
    for earlier in history:
        for judge in (limited, free):
            judge.settle(earlier) if isinstance(earlier, AttemptEnded) else judge.judge(earlier)
    if isinstance(free.judge(event), Refuse):
        assert isinstance(limited.judge(event), Refuse)
