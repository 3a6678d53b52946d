from __future__ import annotations

import pytest

from trajectory.clock import ManualClock, SystemClock, seeded_entropy, system_entropy
from trajectory.ids import new_id


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(100.0)
    assert (clock.now_s(), clock.monotonic_s()) == (100.0, 0.0)
    clock.advance(2.5)
    assert (clock.now_s(), clock.monotonic_s()) == (102.5, 2.5)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_the_system_clock_does_not_go_back() -> None:
    clock = SystemClock()
    first = clock.monotonic_s()
    assert clock.monotonic_s() >= first
    assert clock.now_s() > 1_700_000_000


def test_seeded_entropy_repeats_and_system_entropy_does_not() -> None:
    assert seeded_entropy(7)(16) == seeded_entropy(7)(16) != seeded_entropy(8)(16)
    assert len(system_entropy(16)) == 16
    assert system_entropy(16) != system_entropy(16)
    assert len(new_id(1.0, system_entropy(7))) == 26
