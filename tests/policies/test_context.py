from __future__ import annotations

import pytest

from policies.context import ContextLimit
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.verdict import ALLOW, Refuse, Verdict
from trajectory.events import ModelAsked, PromptSize


def judged(prompt: PromptSize, limit: int = 1_000, *, counts: bool = False, final: bool = False) -> Verdict:
    rule = ContextLimit(limit, "final_message" if final else "refuse")
    asked = ModelAsked("t", "openai", "api.openai.com", "m", "d", 1, prompt=prompt, counts=counts)
    return rule.judge(asked, MemoryLedger())


def test_a_prompt_within_the_limit_passes_and_a_larger_one_is_told_by_how_much() -> None:
    assert judged(PromptSize(text_bytes=5_000)) is ALLOW
    refused = judged(PromptSize(tokens=900, text_bytes=1_000))
    assert isinstance(refused, Refuse)
    assert refused.code == "context_budget_exhausted"
    for said in ("about 1100 tokens (900 of them as the provider counted)", "1000 are allowed", "about 100 tokens of"):
        assert said in refused.message


@pytest.mark.parametrize(
    ("prompt", "passes"),
    [
        (PromptSize(text_bytes=2_000, tokens_per_byte=0.4), True),  # as the trajectory's text has been so far
        (PromptSize(text_bytes=2_600, tokens_per_byte=0.4), False),
        (
            PromptSize(text_bytes=2_100, tokens_per_byte=63.8),
            False,
        ),  # a page was added to it; text has no such ratio
        (PromptSize(text_bytes=9_000, tokens_per_byte=0.0001), True),
        (PromptSize(data_bytes=10**7, media=1), True),  # an image is no larger for its bytes
        (PromptSize(tokens=1_000), True),
        (PromptSize(elsewhere=3), True),
    ],
)
def test_the_best_estimate_decides(prompt: PromptSize, passes: bool) -> None:
    assert (judged(prompt) is ALLOW) == passes


def test_requests_that_count_tokens_are_not_judged() -> None:
    assert judged(PromptSize(tokens=10**6), counts=True) is ALLOW


def test_the_end_of_a_run_can_be_told_as_a_message() -> None:
    refused = judged(PromptSize(tokens=1_001), final=True)
    assert isinstance(refused, Refuse)
    assert refused.ending == "final_message"


def test_a_prompt_that_nobody_measured_is_refused() -> None:
    engine = Engine([ContextLimit(1_000)], MemoryLedger())
    assert engine.reads_sizes
    refused = engine.judge(ModelAsked("t", "openai", "api.openai.com", "m", "d", 1))
    assert isinstance(refused, Refuse) and refused.code == "policy_failed"
