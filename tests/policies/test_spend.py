from __future__ import annotations

import threading
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.prices import PriceList
from policies.retries import RetryBudget
from policies.spend import NANO, SpendBudget
from policies.verdict import ALLOW, Refuse
from tests.policies.test_engine import LostLedger
from trajectory.conversation import Usage
from trajectory.events import AttemptEnded, End, ModelAsked, PromptSize
from trajectory.prices import Rates, cost_usd

RATES = Rates(input=1.0, output=10.0, cache_read=0.1, cache_write=1.25)
FRAME_USD = 1_024 * RATES.cache_write / 1e6


def asked(text_bytes: int = 0, max_tokens: int | None = 1_000, **more: Any) -> ModelAsked:
    prompt = PromptSize(text_bytes=text_bytes)
    known: dict[str, Any] = {"trajectory": "t", "session": "s", "digest": "d", "model": "m", "prompt": prompt, **more}
    return ModelAsked(upstream="openai", host="gateway.test", body_bytes=text_bytes, max_tokens=max_tokens, **known)


def ended(event: ModelAsked, end: End = "complete", **more: Any) -> AttemptEnded:
    return AttemptEnded(event.trajectory, event.digest, end, asked=event, **more)


def budget(limit_usd: float = 1.0, own: dict[str, Rates] | None = None, **more: Any) -> SpendBudget:
    return SpendBudget(limit_usd, PriceList({"m": RATES} if own is None else own), **more)


def spent_usd(ledger: MemoryLedger, account: str = "spend:t") -> float:
    return ledger.total(account) / NANO


def refusal(rule: SpendBudget, event: ModelAsked, ledger: MemoryLedger | None = None) -> Refuse:
    verdict = rule.judge(event, ledger or MemoryLedger())
    assert isinstance(verdict, Refuse)
    assert verdict.code == "spend_budget_exhausted"
    return verdict


def test_the_most_that_a_call_can_cost_is_reserved_and_what_it_did_cost_takes_its_place() -> None:
    rule, ledger, ask = budget(), MemoryLedger(), asked(10_000)
    assert rule.judge(ask, ledger) is ALLOW
    assert spent_usd(ledger) == pytest.approx(FRAME_USD + 0.0125 + 0.01), "a cache may be written"
    rule.judge(ended(ask, usage=Usage(2_000, 100, cache_read_tokens=1_500)), ledger)
    assert spent_usd(ledger) == pytest.approx(500e-6 + 150e-6 + 1_000e-6)


def test_a_call_that_may_cost_more_than_is_left_is_refused_and_the_answer_that_would_fit_fits() -> None:
    refused = refusal(budget(0.02), asked(10_000, max_tokens=5_000))
    assert "0.0200 of 0.02 US dollars are left" in refused.message
    fits = int(refused.message.split("at most ")[1].split()[0])
    assert budget(0.02).judge(asked(10_000, max_tokens=fits), MemoryLedger()) is ALLOW
    refusal(budget(0.02), asked(10_000, max_tokens=fits + 2))
    assert "prompt alone" in refusal(budget(0.01), asked(10_000)).message


def test_each_of_several_answers_counts_and_an_answer_of_no_stated_length_is_assumed() -> None:
    refusal(budget(0.5), asked(answers=100))
    assert budget(0.5).judge(asked(answers=40), MemoryLedger()) is ALLOW
    assert (
        "none is stated, and 60000 are assumed"
        in refusal(budget(0.5, assumed_output_tokens=60_000), asked(max_tokens=None)).message
    )


@pytest.mark.parametrize("end", ["failed", "refused", "cut"])
def test_what_nobody_bills_costs_nothing(end: End) -> None:
    rule, ledger, ask = budget(), MemoryLedger(), asked(10_000)
    rule.judge(ask, ledger)
    rule.judge(ended(ask, end, is_free=True, usage=Usage(5, 5)), ledger)
    assert ledger.total("spend:t") == 0


@pytest.mark.parametrize(
    ("end", "told", "output"),
    [
        ("aborted", {}, 1_000),  # nobody knows what was written unseen: all that was reserved
        ("cut", {"answer_bytes": 300}, 300),
        ("cut", {"answer_bytes": 90_000, "text_bytes": 90_000}, 2_812),  # never less than its text can be
        ("complete", {"answer_bytes": 900_000, "usage": Usage(1_024, 80)}, 80),  # an image, say
        ("cut", {"answer_bytes": 300, "usage": Usage(1_024, 1)}, 300),  # counted when the stream began
        ("cut", {"answer_bytes": 300, "usage": Usage(1_024, 700)}, 700),
        ("complete", {"answer_bytes": 300}, 300),
        ("complete", {"answer_bytes": 300, "usage": Usage(1_024, 0)}, 300),
        ("complete", {"text_bytes": 3_200, "usage": Usage(1_024, 1)}, 100),
        ("complete", {"answer_bytes": 300, "usage": Usage(0, 80)}, 80),
        ("complete", {"answer_bytes": 300, "usage": Usage(1_024, 80, cache_read_tokens=9_999)}, 80),
        ("complete", {"answer_bytes": 0}, 0),
    ],
)  # fmt: skip
def test_what_was_not_counted_or_cannot_be_true_is_taken_at_its_most(
    end: End, told: dict[str, Any], output: int
) -> None:
    rule, ledger, ask = budget(), MemoryLedger(), asked()
    rule.judge(ask, ledger)
    rule.judge(ended(ask, end, **told), ledger)
    assert spent_usd(ledger) == pytest.approx(1_024e-6 + output * 10e-6)


def test_what_a_provider_bills_beyond_the_most_is_booked_and_the_next_call_refused() -> None:
    rule, ledger, ask = budget(0.05), MemoryLedger(), asked()
    rule.judge(ask, ledger)
    rule.judge(ended(ask, usage=Usage(10**30, 50_000)), ledger)
    assert spent_usd(ledger) > 0.5
    assert "0.0000 of 0.05" in refusal(rule, asked(), ledger).message


def test_sub_agents_share_the_budget_of_a_session_where_that_is_what_counts() -> None:
    by_session, each = budget(0.012, per="session"), budget(0.012)
    shared, own = MemoryLedger(), MemoryLedger()
    assert by_session.judge(asked(), shared) is ALLOW
    assert "of this session" in refusal(by_session, asked(trajectory="t/helper"), shared).message
    assert [each.judge(asked(trajectory=name), own) for name in ("t", "t/helper")] == [ALLOW, ALLOW]


def test_a_model_without_a_price_is_refused_unless_that_is_allowed() -> None:
    refused = refusal(budget(own={}), asked(model="house\n-7b"))
    assert 'openai/house\\x0a-7b"' in refused.message and "policies.spend.prices" in refused.message
    rule, ledger, ask = budget(own={}, unpriced="allow"), MemoryLedger(), asked(model="house-7b")
    assert [rule.judge(ask, ledger), rule.judge(ended(ask, usage=Usage(10**6, 10**6)), ledger)] == [ALLOW, ALLOW]
    assert ledger.total("spend:t") == 0


def test_a_model_that_costs_nothing_passes_with_no_budget_at_all() -> None:
    free = {"openai/*": Rates(0, 0, 0, 0)}
    rule, ledger, ask = budget(0.0, free), MemoryLedger(), asked(10**8, max_tokens=None)
    assert rule.judge(ask, ledger) is ALLOW
    rule.judge(ended(ask, usage=Usage(10**8, 10**6), model="gpt-4o"), ledger)
    assert ledger.total("spend:t") == 0


def test_the_model_that_answered_is_priced_where_it_is_another_one() -> None:
    rule, ledger = budget(10.0, {}), MemoryLedger()
    ask = asked(model="gpt-4o-mini", at_s=1_750_000_000.0)
    rule.judge(ask, ledger)
    usage = Usage(1_000, 1_000)
    rule.judge(ended(ask, usage=usage, model="gpt-4o-2024-11-20"), ledger)
    assert spent_usd(ledger) == pytest.approx(cost_usd(usage, "gpt-4o-2024-11-20", "gateway.test", 1_750_000_000.0))


def test_requests_that_count_tokens_cost_nothing() -> None:
    rule, ledger, ask = budget(0.0), MemoryLedger(), asked(counts=True)
    assert rule.judge(ask, ledger) is ALLOW
    rule.judge(ended(ask, usage=Usage(500, 0)), ledger)
    assert ledger.total("spend:t") == 0


def test_the_end_of_a_run_can_be_told_as_a_message() -> None:
    assert refusal(budget(0.0), asked()).ending == "error"
    assert refusal(budget(0.0, on_exhausted="final_message"), asked()).ending == "final_message"


def test_a_refusal_of_another_rule_leaves_nothing_reserved() -> None:
    ledger, ask = MemoryLedger(), asked()
    engine = Engine([budget(), RetryBudget(0)], ledger)
    engine.settle(AttemptEnded("t", "d", "failed"))
    assert isinstance(engine.judge(ask), Refuse)
    assert ledger.total("spend:t") == 0


def test_an_end_that_the_ledger_could_not_be_told_is_settled_once_it_is_back() -> None:
    ledger, ask = LostLedger(), asked()
    engine = Engine([budget(0.02), RetryBudget(9)], ledger)
    assert engine.judge(ask) == ALLOW
    ledger.lost = True
    engine.settle(ended(ask, usage=Usage(1_000, 100)))
    refused = engine.judge(ask)
    assert isinstance(refused, Refuse)
    assert refused.code == "ledger_unavailable"
    ledger.lost = False
    assert engine.judge(asked(max_tokens=1)) == ALLOW
    assert ledger.total("spend:t") == pytest.approx((0.002 + FRAME_USD + 10e-6) * NANO)


endings = st.sampled_from(["complete", "failed", "cut", "aborted", "refused"])


@given(
    limit=st.floats(0, 0.1),
    calls=st.lists(
        st.tuples(
            st.integers(0, 20_000), st.sampled_from([None, 0, 1, 500, 2_000]), endings, st.booleans(),
            st.one_of(st.none(), st.integers(0, 5_000)), st.floats(0, 1), st.floats(0, 1),
        ),
        max_size=30,
    ),
)  # fmt: skip
def test_no_history_overshoots_and_every_end_gives_back_what_was_not_used(limit: float, calls: list[Any]) -> None:
    """Where providers bill no more than was asked for: each answer within its own limit, each prompt its bytes."""
    rule, ledger, bill = budget(limit, assumed_output_tokens=2_000), MemoryLedger(), 0.0
    for size, most, end, is_free, seen, of_prompt, of_answer in calls:
        ask = asked(size, max_tokens=most)
        before = ledger.total("spend:t")
        if rule.judge(ask, ledger) is not ALLOW:
            assert ledger.total("spend:t") == before
            continue
        longest = 2_000 if most is None else most
        usage = Usage(int(size * of_prompt), int(longest * of_answer))
        billed = 0.0 if is_free else RATES.cost_usd(usage) or 0.0
        bytes_seen = None if seen is None else max(seen, usage.output_tokens or 0)
        told = usage if end == "complete" or usage.output_tokens else None
        rule.judge(ended(ask, end, is_free=is_free, usage=told, answer_bytes=min(bytes_seen or 0, longest)), ledger)
        bill += billed
        assert before <= ledger.total("spend:t") <= limit * NANO
    assert bill * NANO <= ledger.total("spend:t") + len(calls)


def test_under_any_concurrency_the_bill_stays_within_the_budget() -> None:
    rule, ledger = budget(0.3), MemoryLedger()
    engine = Engine([RetryBudget(10**6), rule], ledger)
    bills: list[float] = []

    def agent(seed: int) -> None:
        dice = Random(seed)
        for turn in range(60):
            ask = asked(dice.randrange(4_000), max_tokens=dice.randrange(2_000), digest=f"{seed}-{turn}")
            if engine.judge(ask) is not ALLOW:
                continue
            usage = Usage(dice.randrange(1, ask.prompt.text_bytes + 2), dice.randrange((ask.max_tokens or 0) + 1))
            is_free = dice.random() < 0.2
            end: End = dice.choice(("complete", "failed", "cut", "aborted"))
            engine.settle(ended(ask, end, usage=usage, answer_bytes=usage.output_tokens, is_free=is_free))
            bills.append(0.0 if is_free else RATES.cost_usd(usage) or 0.0)
            assert ledger.total("spend:t") <= 0.3 * NANO

    threads = [threading.Thread(target=agent, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.2 < sum(bills) <= 0.3
    assert sum(bills) * NANO <= ledger.total("spend:t") <= sum(bills) * NANO * 1.05 + len(bills)
