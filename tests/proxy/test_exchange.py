from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.verdict import ALLOW, Verdict
from proxy.arrivals import (
    Arrival,
    CommitFailed,
    Committed,
)
from proxy.effects import (
    BeginReply,
    BreakConnection,
    Commit,
    EndReply,
    Forward,
    Respond,
    SendPart,
    StopUpstream,
)
from proxy.exchange_states import TRANSITIONS, State
from tests.support.detecting import redactor
from tests.support.driving import (
    DONE,
    Driven,
    hall,
)
from tests.support.exchange_rows import (
    ARRIVALS,
    EMAIL,
    REQUEST,
    ROWS,
    WAY_TO,
    driven,
)
from trajectory.events import BytesMoved, CallProposed, Event


def test_every_transition_has_a_row_here() -> None:
    assert ROWS.keys() == TRANSITIONS.keys()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].name}-{row[1].__name__}")
def test_each_transition_leads_where_the_table_says(row: tuple[State, type]) -> None:
    arrival, state, effects, end = ROWS[row]
    exchange = driven(*WAY_TO[row[0]])
    assert exchange.exchange.state is row[0]
    made = exchange.give(arrival)
    assert [type(effect) for effect in made] == effects
    assert exchange.exchange.state is state
    assert end == next((e.attempt.end for e in made if isinstance(e, Commit)), None)


@pytest.mark.parametrize("state", [*WAY_TO, State.DONE], ids=lambda state: state.name)
def test_what_has_no_row_is_late_news_and_changes_nothing(state: State) -> None:
    for arrival in ARRIVALS:
        if (state, type(arrival)) not in TRANSITIONS:
            exchange = (
                driven(*WAY_TO[State.COMMITTING], Committed(0.5)) if state is State.DONE else driven(*WAY_TO[state])
            )
            assert exchange.give(arrival) == []
            assert exchange.exchange.state is state


class Watching:
    """A rule that allows everything and notes what it was shown."""

    name = "watching"
    events = frozenset({CallProposed, BytesMoved})

    def __init__(self) -> None:
        self.received = 0
        self.calls: list[str] = []

    def judge(self, event: Event, ledger: Any) -> Verdict:
        if isinstance(event, BytesMoved):
            self.received += event.received
        elif isinstance(event, CallProposed):
            self.calls.append(event.name)
        return ALLOW


@given(st.lists(st.sampled_from(ARRIVALS), max_size=12), st.booleans())
def test_in_any_order_of_arrivals_nothing_flows_unjudged_or_ends_unrecorded(
    arrivals: list[Arrival], masked: bool
) -> None:
    watching = Watching()
    made = Driven(hall(watching, redactor=redactor() if masked else None), by_hand=True)
    committed = asked = False
    waiting: list[Arrival] = [REQUEST, *arrivals]
    for arrival in waiting:
        before = made.exchange.state
        effects = made.give(arrival)
        committed = committed or (before is State.COMMITTING and isinstance(arrival, Committed))
        failed = before is State.COMMITTING and isinstance(arrival, CommitFailed)
        for effect in effects:
            if isinstance(effect, Forward):
                assert not asked and (not masked or EMAIL.encode() not in effect.body)
                asked = True
            if isinstance(effect, BeginReply | Respond | SendPart) and not (committed or failed):
                assert isinstance(effect, BeginReply) or (isinstance(effect, SendPart) and DONE not in effect.data)
            if isinstance(effect, EndReply | Respond | BreakConnection):
                assert committed or failed
            if isinstance(effect, SendPart | Respond) and failed and not committed:
                data = effect.data if isinstance(effect, SendPart) else effect.body
                assert b"recording_unavailable" in data
    sent = sum(len(e.data) for e in made.effects if isinstance(e, SendPart) and b'"error"' not in e.data)
    assert sent <= watching.received
    assert sum(isinstance(e, Commit) for e in made.effects) <= 1
    assert sum(isinstance(e, EndReply | Respond | BreakConnection) for e in made.effects) <= 1
    assert not (
        any(isinstance(e, BeginReply) for e in made.effects) and any(isinstance(e, Respond) for e in made.effects)
    )


@given(st.sampled_from([*WAY_TO]))
def test_a_bug_of_our_own_refuses_in_every_state(state: State) -> None:
    exchange = driven(*WAY_TO[state])
    began = any(isinstance(e, BeginReply) for e in exchange.effects)
    made = exchange.exchange.broken(1.0)
    made += exchange.give(*[Committed(1.1)] * any(isinstance(e, Commit) for e in made))
    assert any(isinstance(e, StopUpstream) for e in made)
    if state in (State.COMMITTING, State.CLOSING):
        assert isinstance(made[-1], BreakConnection)
        return
    (attempt,) = [e.attempt for e in made if isinstance(e, Commit)]
    assert attempt.end == "refused" and attempt.verdicts[-1].code == "policy_failed"
    assert (attempt.request, attempt.reply, attempt.client_reply) == ((), (), None)
    assert any(isinstance(e, Respond) for e in made) is not began
    last = made[-2] if began else made[-1]
    assert b"policy_failed" in (last.data if isinstance(last, SendPart) else last.body)  # type: ignore[union-attr]


# --- requests ---
