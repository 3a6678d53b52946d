from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import EVENTS, Engine
from policies.ledger import Ledger
from policies.memory_ledger import MemoryLedger
from policies.retries import RetryBudget
from policies.rule import Rule
from policies.verdict import ALLOW, Allow, DropTools, Refuse, Verdict
from trajectory.errors import StoreError
from trajectory.events import AttemptEnded, BytesMoved, CallProposed, Event, ModelAsked, ToolAsked

SECRET = "hunter2-do-not-log"
ASK = ModelAsked("t", "openai", "api.openai.com", "m", digest=SECRET, body_bytes=10, tools=("a", "b", "c"))
SAMPLES: dict[type[Event], Event] = {
    ModelAsked: ASK,
    ToolAsked: ToolAsked("t", "orders", "127.0.0.1:9000", "refund", SECRET, 10, arguments=SECRET),
    CallProposed: CallProposed("t", "refund", arguments=SECRET),
    BytesMoved: BytesMoved("t", "api.openai.com", sent=1, received=2),
    AttemptEnded: AttemptEnded("t", SECRET, "failed"),
}


@dataclass
class Scripted:
    """A rule that does what it is told, and counts how often it was asked."""

    does: Callable[[Event, Ledger], Verdict]
    name: str = "scripted"
    events: Collection[type[Event]] = EVENTS
    seen: list[Event] = field(default_factory=list)

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        self.seen.append(event)
        return self.does(event, ledger)


def refusing(name: str = "no") -> Scripted:
    return Scripted(lambda event, ledger: Refuse("route_refused", name, "no"), name)


def allowing() -> Scripted:
    return Scripted(lambda event, ledger: ALLOW)


def reserving(account: str, limit: int = 10) -> Scripted:
    def reserve(event: Event, ledger: Ledger) -> Verdict:
        return ALLOW if ledger.reserve(account, 1, limit) else Refuse("spend_budget_exhausted", account, "spent")

    return Scripted(reserve, account)


def raising(error: Exception) -> Scripted:
    def fail(event: Event, ledger: Ledger) -> Verdict:
        raise error

    return Scripted(fail, "broken")


class LostLedger(MemoryLedger):
    """A ledger that can be cut off, as one over a network can."""

    lost = False

    def _reach(self) -> None:
        if self.lost:
            raise StoreError(f"no route to {SECRET}")

    def reserve(self, account: str, amount: int, limit: int) -> bool:
        self._reach()
        return super().reserve(account, amount, limit)

    def release(self, account: str, amount: int) -> None:
        self._reach()
        super().release(account, amount)

    def note_end(self, trajectory: str, digest: str, failed: bool) -> None:
        self._reach()
        super().note_end(trajectory, digest, failed)

    def failed_before(self, trajectory: str, digest: str) -> bool:
        self._reach()
        return super().failed_before(trajectory, digest)


@pytest.mark.parametrize("event", SAMPLES.values(), ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("others", [0, 1])
def test_rule_that_raises_refuses_and_says_nothing_of_the_event(
    event: Event, others: int, caplog: pytest.LogCaptureFixture
) -> None:
    rules = [allowing() for _ in range(others)] + [raising(ValueError(f"cannot parse {SECRET}"))]
    with caplog.at_level(logging.DEBUG):
        verdict = Engine(rules, MemoryLedger()).judge(event)
    assert isinstance(verdict, Refuse)
    assert (verdict.code, verdict.rule) == ("policy_failed", "broken")
    assert SECRET not in verdict.message + caplog.text
    assert "ValueError" in caplog.text
    assert "test_engine.py" in caplog.text, "the log says where it was raised"


@pytest.mark.parametrize("answer", [None, True, "allow", DropTools("r", frozenset({"a"}), "m")])
def test_answer_that_is_no_verdict_for_this_event_refuses(answer: object) -> None:
    verdict = Engine([Scripted(lambda event, ledger: answer)], MemoryLedger()).judge(SAMPLES[CallProposed])  # type: ignore[arg-type, return-value]
    assert isinstance(verdict, Refuse)
    assert verdict.code == "policy_failed"


def test_unknown_kind_of_event_is_refused() -> None:
    class Newer(BytesMoved):
        pass

    verdict = Engine([], MemoryLedger()).judge(Newer("t", "h"))
    assert isinstance(verdict, Refuse)
    assert verdict.code == "policy_failed"


@pytest.mark.parametrize("others", [0, 1])
def test_lost_ledger_refuses(others: int, caplog: pytest.LogCaptureFixture) -> None:
    ledger = LostLedger()
    ledger.lost = True
    verdict = Engine([reserving("spend"), *[allowing() for _ in range(others)]], ledger).judge(ASK)
    assert isinstance(verdict, Refuse)
    assert (verdict.code, verdict.rule) == ("ledger_unavailable", "spend")
    assert SECRET not in verdict.message + caplog.text


def test_failure_that_could_not_be_noted_is_not_a_free_retry() -> None:
    ledger = LostLedger()
    engine = Engine([RetryBudget(0)], ledger)
    assert engine.judge(ASK) == ALLOW
    ledger.lost = True
    engine.settle(AttemptEnded("t", SECRET, "failed"))
    refused = engine.judge(ASK)
    assert isinstance(refused, Refuse)
    assert refused.code == "ledger_unavailable"
    ledger.lost = False
    retry = engine.judge(ASK)
    assert isinstance(retry, Refuse)
    assert retry.code == "retry_budget_exhausted"
    other = ModelAsked("t", "openai", "api.openai.com", "m", digest="another", body_bytes=1)
    assert engine.judge(other) == ALLOW, "once it is noted, other asks go on"


def test_first_refusal_wins_and_later_rules_are_not_asked() -> None:
    last = allowing()
    verdict = Engine([allowing(), refusing("first"), refusing("second"), last], MemoryLedger()).judge(ASK)
    assert isinstance(verdict, Refuse)
    assert verdict.rule == "first"
    assert last.seen == []


def test_refused_operation_costs_nothing() -> None:
    ledger = MemoryLedger()
    engine = Engine([reserving("x"), reserving("y"), refusing()], ledger)
    for _ in range(30):
        assert isinstance(engine.judge(ASK), Refuse)
    assert (ledger.total("x"), ledger.total("y")) == (0, 0)


def test_budget_stays_taken_when_it_cannot_be_given_back() -> None:
    ledger = LostLedger()

    def lose(event: Event, lost: Ledger) -> Verdict:
        ledger.lost = True
        return Refuse("route_refused", "no", "no")

    verdict = Engine([reserving("x"), Scripted(lose)], ledger).judge(ASK)
    assert isinstance(verdict, Refuse)
    assert verdict.code == "route_refused"
    assert ledger.total("x") == 1


def test_dropped_tools_of_several_rules_merge() -> None:
    def dropping(*names: str) -> Scripted:
        return Scripted(lambda event, ledger: DropTools(names[0], frozenset(names), f"no {names[0]}"))

    engine = Engine([dropping("a", "b"), allowing(), dropping("b", "c")], MemoryLedger())
    assert engine.judge(ASK) == DropTools("a, b", frozenset("abc"), "no a no b")
    assert isinstance(Engine([dropping("a"), refusing()], MemoryLedger()).judge(ASK), Refuse)


def test_rule_sees_only_the_events_it_names() -> None:
    rule = Scripted(lambda event, ledger: ALLOW, events=(CallProposed,))
    engine = Engine([rule], MemoryLedger())
    for event in SAMPLES.values():
        assert engine.judge(event) == ALLOW
    engine.settle(AttemptEnded("t", "d", "failed"))
    assert [type(event) for event in rule.seen] == [CallProposed]


def test_settling_never_raises() -> None:
    Engine([raising(RuntimeError("bug"))], MemoryLedger()).settle(AttemptEnded("t", "d", "failed"))


kinds = st.sampled_from(["allow", "refuse", "raise", "reserve", "drop"])


def _rule(kind: str) -> Rule:
    def drop(event: Event, ledger: Ledger) -> Verdict:
        return DropTools("d", frozenset({"a"}), "m") if isinstance(event, ModelAsked) else ALLOW

    made: dict[str, Callable[[], Rule]] = {
        "allow": allowing,
        "refuse": refusing,
        "raise": lambda: raising(KeyError("x")),
        "reserve": lambda: reserving("x", 3),
        "drop": lambda: Scripted(drop),
    }
    return made[kind]()


@given(
    kinds=st.lists(kinds, max_size=5),
    added=st.sampled_from(["refuse", "raise", "reserve", "drop"]),
    place=st.integers(0, 5),
    events=st.lists(st.sampled_from(list(SAMPLES.values())), max_size=12),
)
def test_adding_a_refusing_rule_never_lets_more_pass(
    kinds: list[str], added: str, place: int, events: list[Event]
) -> None:
    """Judged on a fresh ledger each: one refusal must not be traded for two later passes of the same event."""
    more = [*kinds[:place], added, *kinds[place:]]
    for event in events:
        before = Engine([_rule(kind) for kind in kinds], MemoryLedger()).judge(event)
        after = Engine([_rule(kind) for kind in more], MemoryLedger()).judge(event)
        assert _passes(after) <= _passes(before)


def _passes(verdict: Verdict) -> frozenset[str]:
    """What reaches the upstream: the operation, and the tools that it offers."""
    if isinstance(verdict, Allow):
        return frozenset({"operation", *ASK.tools})
    if isinstance(verdict, DropTools):
        return frozenset({"operation", *ASK.tools}) - verdict.names
    return frozenset()


@given(kinds=st.lists(kinds, max_size=5), asks=st.integers(1, 8))
def test_totals_are_what_passed(kinds: list[str], asks: int) -> None:
    ledger = MemoryLedger()
    engine = Engine([_rule(kind) for kind in kinds], ledger)
    passed = sum(not isinstance(engine.judge(ASK), Refuse) for _ in range(asks))
    assert ledger.total("x") == passed * kinds.count("reserve")
