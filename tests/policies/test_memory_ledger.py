from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.memory_ledger import MemoryLedger
from trajectory.errors import StoreError

moves = st.lists(
    st.tuples(st.sampled_from(["reserve", "release"]), st.sampled_from(["a", "b"]), st.integers(0, 12)), max_size=40
)


@given(moves=moves, limit=st.integers(0, 20))
def test_total_stays_between_zero_and_the_limit(moves: list[tuple[str, str, int]], limit: int) -> None:
    ledger, model = MemoryLedger(), {"a": 0, "b": 0}
    for kind, account, amount in moves:
        if kind == "reserve":
            fits = model[account] + amount <= limit
            assert ledger.reserve(account, amount, limit) is fits
            model[account] += amount if fits else 0
        else:
            ledger.release(account, amount)
            model[account] = max(0, model[account] - amount)
        assert {name: ledger.total(name) for name in model} == model
        assert 0 <= ledger.total(account) <= limit


@given(amounts=st.lists(st.lists(st.integers(1, 9), max_size=30), min_size=2, max_size=4), limit=st.integers(0, 60))
def test_threads_never_overshoot_together(amounts: list[list[int]], limit: int) -> None:
    ledger, granted = MemoryLedger(), [0] * len(amounts)
    start = threading.Barrier(len(amounts))

    def spend(who: int) -> None:
        start.wait()
        for amount in amounts[who]:
            if ledger.reserve("shared", amount, limit):
                granted[who] += amount
            assert ledger.total("shared") <= limit

    threads = [threading.Thread(target=spend, args=(who,)) for who in range(len(amounts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.total("shared") == sum(granted) <= limit


@pytest.mark.parametrize("amount", [-1, -(10**9)])
def test_negative_amount_cannot_make_room(amount: int) -> None:
    ledger = MemoryLedger()
    ledger.reserve("a", 5, 5)
    with pytest.raises(ValueError, match="negative"):
        ledger.reserve("a", amount, 5)
    with pytest.raises(ValueError, match="negative"):
        ledger.release("a", amount)
    assert ledger.total("a") == 5


def test_limit_that_was_lowered_refuses_until_it_is_met() -> None:
    ledger = MemoryLedger()
    ledger.reserve("a", 5, 10)
    assert not ledger.reserve("a", 0, 4)
    ledger.release("a", 2)
    assert ledger.reserve("a", 1, 4)


def test_remembers_failure_until_success_in_the_same_trajectory_only() -> None:
    ledger = MemoryLedger()
    ledger.note_end("t", "d", failed=True)
    assert ledger.failed_before("t", "d")
    assert not ledger.failed_before("u", "d")
    assert not ledger.failed_before("t", "e")
    ledger.note_end("t", "d", failed=False)
    assert not ledger.failed_before("t", "d")


def test_forgets_what_was_used_longest_ago() -> None:
    ledger = MemoryLedger(max_accounts=2)
    ledger.reserve("a", 1, 9)
    ledger.reserve("b", 1, 9)
    ledger.reserve("a", 1, 9)
    ledger.reserve("c", 1, 9)
    assert [ledger.total(name) for name in "abc"] == [2, 0, 1]
    ledger.release("b", 1)
    assert ledger.total("b") == 0, "what was reserved before it was forgotten cannot become credit"


def test_account_in_use_is_not_forgotten_while_others_come_and_go() -> None:
    ledger = MemoryLedger(max_accounts=3)
    for other in range(50):
        assert ledger.reserve("busy", 1, 50)
        ledger.reserve(f"other-{other}", 1, 1)
        ledger.note_end("t", "busy", failed=True)
        ledger.note_end("t", f"body-{other}", failed=True)
        ledger.note_end("t", f"body-{other}-too", failed=True)
        assert ledger.failed_before("t", "busy")
    assert not ledger.reserve("busy", 1, 50)


def test_strict_ledger_refuses_new_accounts_instead_of_forgetting() -> None:
    ledger = MemoryLedger(max_accounts=1, when_full="refuse")
    assert ledger.reserve("a", 1, 2)
    with pytest.raises(StoreError, match="full"):
        ledger.reserve("b", 1, 2)
    assert ledger.reserve("a", 1, 2)
    ledger.note_end("t", "d", failed=True)
    with pytest.raises(StoreError, match="full"):
        ledger.note_end("t", "e", failed=True)


def test_ledger_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        MemoryLedger(max_accounts=0)
