from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.fidelity.footing import ACCEPTED, FOOTINGS, footings, levels, reaches, trusted_share
from trajectory.runs import Fidelity, Served

SERVED = st.builds(
    Served,
    tool=st.just("t"),
    arguments=st.just("{}"),
    fidelity=st.sampled_from(("exact", "canonical", "pooled", "simulated", "live", "written", "missing")),
    may_be_stale=st.booleans(),
)


def served(*fidelities: Fidelity, stale: bool = False) -> list[Served]:
    return [Served(tool="t", arguments="{}", fidelity=one, may_be_stale=stale) for one in fidelities]


def test_a_recorded_result_that_may_be_stale_is_trusted_at_no_level() -> None:
    counts = footings([*served("exact", "pooled", stale=True), *served("exact", "live")])
    assert counts == {"exact": 1, "live": 1, "stale": 2}
    assert [trusted_share(counts, trust) for trust in ACCEPTED] == [0.25, 0.25, 0.25, 0.5]


def test_what_nobody_answered_stays_missing_and_what_a_model_wrote_stays_written() -> None:
    assert footings(served("missing", "written", stale=True)) == {"written": 1, "missing": 1}


@given(st.lists(SERVED, min_size=1))
def test_every_result_has_one_footing_and_each_level_trusts_no_less_than_the_one_before(results: list[Served]) -> None:
    counts = footings(results)
    assert sum(counts.values()) == len(results)
    assert list(counts) == [footing for footing in FOOTINGS if footing in counts]
    shares = [trusted_share(counts, trust) or 0.0 for trust in ACCEPTED]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(
        1 - sum(counts.get(one, 0) for one in ("stale", "written", "missing")) / len(results)
    )


def test_a_run_without_any_tool_result_counts_at_every_threshold() -> None:
    assert trusted_share({}, "recorded") is None
    assert reaches(trusted_share({}, "recorded"), 1.0)


def test_levels_that_no_run_tells_apart_are_not_shown() -> None:
    assert levels([{}, {}]) == ()
    assert levels([{"exact": 3, "stale": 1}, {"missing": 1}]) == ("recorded",)
    assert levels([{"pooled": 3}, {"live": 1}]) == ("recorded", "pooled", "faithful")
