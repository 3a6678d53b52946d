"""What is mirrored, and what may be spent on it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from replay.shadow import Pace, Purse, ShadowSettings, has_price, is_sampled, mirrored_usd, mirrors
from tests.support.recordings import model_attempt, request_body, said, tool_attempt, user
from trajectory.conversation import Reply
from trajectory.record import Span
from trajectory.runs import Candidate

LIVE = model_attempt("s", 0, request_body([user("hi")]), said("hello"))


def settings(**fields: object) -> ShadowSettings:
    return ShadowSettings.model_validate({"candidates": ["a=openai/a-1"], **fields})


def test_only_answered_turns_of_a_model_are_mirrored() -> None:
    assert mirrors(LIVE)
    assert not mirrors(tool_attempt("s", 1, "look", "{}"))
    for change in ({"end": "failed"}, {"end": "cut"}, {"request": ()}, {"answer": None}, {"answer": Reply()}):
        assert not mirrors(changed(LIVE, **change))


def test_sampling_takes_its_share_and_the_same_operations_again() -> None:
    wanted = settings(share=0.2)
    made = [changed(LIVE, operation=f"op-{n}") for n in range(5000)]
    chosen = [is_sampled(one, wanted) for one in made]
    assert abs(sum(chosen) / len(made) - 0.2) < 0.02
    assert [is_sampled(one, wanted) for one in made] == chosen
    assert all(is_sampled(one, settings(share=1)) for one in made)


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    made = [changed(LIVE, operation=f"op-{n}") for n in range(500)]
    few = {one.operation for one in made if is_sampled(one, settings(share=0.1))}
    assert few < {one.operation for one in made if is_sampled(one, settings(share=0.4))}


def test_of_a_sampled_trajectory_each_turn_is_mirrored() -> None:
    wanted = settings(share=0.5, unit="trajectory")
    for n in range(50):
        turns = [changed(LIVE, trajectory=f"t-{n}", operation=f"op-{n}-{turn}") for turn in range(5)]
        assert len({is_sampled(turn, wanted) for turn in turns}) == 1


@given(st.floats(0.01, 2), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), max_size=60))
def test_what_is_spent_and_reserved_never_passes_the_budget(
    limit: float, asked: list[tuple[float, float, bool]]
) -> None:
    purse, open_reservations = Purse(limit), []
    for most, share, settles_now in asked:
        if purse.reserve(most):
            open_reservations.append((most, most * share))
        if settles_now and open_reservations:
            purse.settle(*open_reservations.pop())
        assert purse.spent + purse.reserved <= limit + 1e-9
    for reserved, cost in open_reservations:
        purse.settle(reserved, cost)
    assert purse.reserved == pytest.approx(0)
    assert purse.spent <= limit + 1e-9


def test_what_cost_nobody_knows_has_cost_all_that_was_reserved() -> None:
    purse = Purse(1.0)
    assert purse.reserve(0.6)
    purse.settle(0.6, None)
    assert not purse.reserve(0.6)


def test_starts_are_spread_over_the_second_and_never_saved_up() -> None:
    pace = Pace(10)
    assert [round(pace.wait_s(100.0), 3) for _ in range(3)] == [0.0, 0.1, 0.2]
    assert pace.wait_s(200.0) == 0.0
    assert round(pace.wait_s(200.0), 3) == 0.1


def test_the_most_that_a_request_can_cost_is_never_less_than_what_it_did() -> None:
    priced = Candidate(name="a", upstream="openai", model="gpt-4o-mini")
    bounded = priced.model_copy(update={"parameters": {"max_tokens": 10}})
    most, few = (mirrored_usd(LIVE, one, "api.openai.com", LIVE.started_at + 1.8e9) for one in (priced, bounded))
    assert most is not None
    assert few is not None
    assert 0 < few < most
    limited = changed(LIVE, extra={"max_tokens": "10"})
    assert mirrored_usd(limited, priced, "api.openai.com", LIVE.started_at + 1.8e9) == few
    unknown = priced.model_copy(update={"model": "nobody-sells-this"})
    assert not has_price(unknown, "127.0.0.1", 1.8e9)
    assert has_price(priced, "127.0.0.1", 1.8e9)


def test_what_bytes_do_not_show_counts_too() -> None:
    """Several answers, an image that is a link, a conversation that the provider keeps."""
    priced = Candidate(name="a", upstream="openai", model="gpt-4o-mini", parameters={"max_tokens": 10})

    def most(**changes: Any) -> float:
        found = mirrored_usd(changed(LIVE, **changes), priced, "api.openai.com", 1.8e9)
        assert found is not None
        return found

    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]}
    held = b'{"model":"m","input":"go on","previous_response_id":"r1"}'
    assert most(extra={"answers": "9"}) > most()
    assert most(request=(Span.of(request_body([image])),)) > most() * 2
    assert most(request=(Span.of(held),), wire="openai.responses", path="/v1/responses") > most() * 10
    assert most(request=(Span.of(b"not JSON"),)) > 0


@pytest.mark.parametrize("odd", ["-1", "0", "True", "1" * 5000, "\u0663", "many"])
def test_a_limit_that_is_none_limits_no_cost(odd: str) -> None:
    """It comes from a client, and servers take more than the reference says."""
    priced = Candidate(name="a", upstream="openai", model="gpt-4o-mini")
    most = mirrored_usd(LIVE, priced, "api.openai.com", 1.8e9)
    assert mirrored_usd(changed(LIVE, extra={"max_tokens": odd}), priced, "api.openai.com", 1.8e9) == most
