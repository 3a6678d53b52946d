from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironcage.profiling import MB, Used, percentile, profile, used
from policies.constraints import Constraints
from policies.prices import PriceList
from policies.spend import SpendBudget
from tests.support.scored_runs import attempt, calls, certificate, refuse, run, step, tool_step, trajectory
from trajectory.conversation import Reply, Usage
from trajectory.prices import Rates
from trajectory.runs import Limits, Run

GIB = 1024**3


BUDGET = SpendBudget(1e9, PriceList({}))


def amount(**fields: object) -> Used:
    made: dict[str, object] = {
        "retries": 0, "tools": frozenset({"look"}), "offered": frozenset({"look", "pay"}), "sent_bytes": MB,
        "received_bytes": MB, "wall_s": 2.0,
    }  # fmt: skip
    return Used(**{**made, **fields})  # type: ignore[arg-type]


def limits(amounts: list[Used], runs: list[Run] | None = None, **rest: object) -> Constraints:
    return profile(amounts, runs or [], count="both", memory_bytes=8 * GIB, cpus=4).constraints


def test_use_counts_what_happened_and_not_what_was_refused() -> None:
    found = used(
        trajectory(
            step(
                attempt(503, number=1), attempt(answer=calls("look", "pay"), verdicts=[refuse(subject="pay")], number=2)
            ),
            tool_step("look", index=1),
            step(attempt(400, end="refused"), kind="tool", index=2),
        ),
        BUDGET,
    )
    assert found.retries == 1
    assert found.tools == {"look"}
    assert (found.sent_bytes, found.received_bytes) == (400, 400)
    assert used(trajectory(), BUDGET).wall_s is None


def test_money_counts_what_was_reserved_beside_what_was_spent() -> None:
    """Or the suggested limit would refuse the last call of the very trajectory that it was taken from."""
    turn = Reply("ok", usage=Usage(1_000_000, 0))
    one = trajectory(step(attempt(answer=turn)), step(attempt(answer=turn), index=1))
    priced = SpendBudget(1e9, PriceList({"*": Rates(1, 1, 1, 1)}), assumed_output_tokens=500_000)
    found = used(one, priced)
    assert (found.prompt_tokens, found.most_usd) == (1_000_000, pytest.approx(2.5, rel=0.01))
    assert used(one, BUDGET).most_usd is None
    suggested = limits([amount(most_usd=2.5, prompt_tokens=100)]).constraints
    assert (suggested.spend_limit_usd, suggested.context_limit_tokens) == (3.8, 150)
    some = limits([amount(most_usd=2.5), amount(most_usd=None)]).constraints
    assert some.spend_limit_usd is None


BYTES = st.integers(0, 10**12)
AMOUNTS = st.builds(amount, retries=st.integers(0, 9), sent_bytes=BYTES, received_bytes=BYTES, wall_s=st.floats(0, 1e6))


@given(st.lists(AMOUNTS, min_size=1, max_size=20))
def test_no_measured_trajectory_would_pass_the_suggested_limits(amounts: list[Used]) -> None:
    suggested = limits(amounts).constraints
    for one in amounts:
        assert suggested.max_retries is not None
        assert one.retries <= suggested.max_retries
        moved_mb = (one.sent_bytes + one.received_bytes) / MB
        assert moved_mb == 0 or moved_mb <= (suggested.network_egress_limit_mb or 0)
        assert (one.wall_s or 0) <= (suggested.wall_timeout_s or 0)
        assert one.tools <= set(suggested.allowed_tools or ())


def test_each_number_has_n_method_and_the_chance_of_more() -> None:
    found = profile([amount(retries=n) for n in range(9)], [], count="both", memory_bytes=GIB, cpus=1)
    retries = next(measure for measure in found.measures if measure.key == "max_retries")
    assert (retries.n, retries.p50, retries.largest, retries.suggested) == (9, 4, 8, 8)
    assert retries.risk == pytest.approx(0.1)
    assert all(measure.method and measure.n for measure in found.measures)


def test_memory_is_unknown_without_certificates_and_measured_with_them() -> None:
    without = profile([amount()], [], count="both", memory_bytes=GIB, cpus=1)
    assert without.constraints.constraints.memory_limit_mb is None
    assert any("not run in a cage" in sentence for sentence in without.unknown)
    killed = run(certificate=certificate(Limits(memory_mb=64), peak_memory_mb=999.0, kill_cause="memory"))
    uncaged = run(certificate=certificate(grade="none", peak_memory_mb=5000.0))
    good = run(certificate=certificate(peak_memory_mb=100.0, cpu_s=2.0))
    found = profile([amount()], [killed, uncaged, good], count="both", memory_bytes=GIB, cpus=16)
    assert found.constraints.constraints.memory_limit_mb == 150
    assert found.constraints.constraints.cpu_timeout_ms == 3000
    assert not any("cage" in sentence for sentence in found.unknown)
    assert "5 runs" in found.room


def test_bytes_are_counted_as_the_policy_counts_them() -> None:
    amounts = [amount(sent_bytes=MB, received_bytes=9 * MB)]
    both = profile(amounts, [], count="both", memory_bytes=GIB, cpus=1).constraints.constraints
    sent = profile(amounts, [], count="sent", memory_bytes=GIB, cpus=1).constraints.constraints
    assert (both.network_egress_limit_mb, sent.network_egress_limit_mb) == (15, 1.5)


def test_tools_that_were_only_offered_are_named_and_not_allowed() -> None:
    found = profile([amount()], [], count="both", memory_bytes=GIB, cpus=1)
    assert (found.tools_called, found.tools_only_offered) == (("look",), ("pay",))
    none = profile([amount(tools=frozenset())], [], count="both", memory_bytes=GIB, cpus=1)
    assert none.constraints.constraints.allowed_tools is None


def test_nothing_to_measure_is_no_profile() -> None:
    with pytest.raises(ValueError, match="no trajectory"):
        profile([], [], count="both", memory_bytes=GIB, cpus=1)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50), st.floats(0.1, 100))
def test_percentile_is_a_value_that_enough_are_not_above(values: list[float], percent: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= percent / 100 * len(ordered) - 1e-9
