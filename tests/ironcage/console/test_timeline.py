from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironcage.console.timeline import MAX_SHOWN, MAX_TEXT, Clipped, cards, tone_of, totals
from tests.support.scored_runs import attempt, calls, refuse, says, step, tool_step, trajectory
from trajectory.record import ToolUse, VerdictNote


@given(st.integers(0, 3 * MAX_SHOWN))
def test_nothing_of_a_text_is_lost_unsaid(length: int) -> None:
    clipped = Clipped.of("x" * length)
    assert len(clipped.start) + len(clipped.rest) + clipped.lost == length
    assert len(clipped.start) <= MAX_TEXT
    assert len(clipped.start) + len(clipped.rest) <= MAX_SHOWN


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e6), st.none() | st.floats(0, 2e6)), min_size=1, max_size=8))
def test_every_bar_lies_on_its_track(times: list[tuple[float, float, float | None]]) -> None:
    steps = [step(attempt(started_at=s, total_s=t, first_byte_s=f), index=n) for n, (s, t, f) in enumerate(times)]
    found = trajectory(*steps)
    for card in cards(found, found.steps, {}):
        bar = card.attempts[0].bar
        assert 0 <= bar.x <= 1000
        assert bar.x + bar.width <= 1000.2
        assert 0 <= bar.wait <= bar.width


def test_tone_tells_policy_from_failure() -> None:
    rewrite = VerdictNote("rewrite", "redaction", "masked", "m")
    assert tone_of(attempt(answer=says("hi"))) == "fine"
    assert tone_of(attempt(verdicts=[rewrite])) == "fine"
    assert tone_of(attempt(503)) == "failed"
    assert tone_of(attempt(tool=ToolUse("t", "", is_error=True))) == "failed"
    assert tone_of(attempt(400, end="refused")) == "policy"
    assert tone_of(attempt(verdicts=[refuse()])) == "policy"


def test_step_that_ended_well_keeps_the_mark_of_a_refusal_before() -> None:
    found = trajectory(step(attempt(400, end="refused", number=1), attempt(200, number=2)))
    assert cards(found, found.steps, {})[0].tone == "policy"


def test_totals_leave_unknown_tokens_unknown() -> None:
    silent = totals(trajectory(step(attempt(answer=says("a", tokens=None)))))
    assert (silent.input_tokens, silent.output_tokens) == (None, None)
    partly = totals(trajectory(step(attempt(answer=says("a", tokens=None))), step(attempt(answer=says("b")), index=1)))
    assert (partly.input_tokens, partly.output_tokens) == (100, 10)
    assert totals(trajectory()).duration_s == 0


def test_titles_name_tool_model_or_place() -> None:
    found = trajectory(
        step(attempt(answer=calls("look"))), tool_step("look", index=1), step(attempt(), kind="web", index=2)
    )
    titles = [card.title for card in cards(found, found.steps, {})]
    assert titles == ["m", "look", "POST localhost/v1/chat/completions"]
