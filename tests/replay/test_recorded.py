"""Which trajectories are a run's: that of its agent, and those of its sub-agents."""

from __future__ import annotations

from replay.recorded import Recorded, is_sub_agent, recorded_in, sub_agents_of
from tests.support.recordings import model_attempt, record, request_body, said, user
from trajectory.ids import trajectory_id
from trajectory.memory import MemoryStore

TALK = [user("hi"), said("hello")]


def stored(*agents: str | None, task: str | None = "t") -> MemoryStore:
    """Sessions `s` (begun by `agents` in this order) and `other`."""
    store = MemoryStore()
    for number, agent in enumerate(agents):
        one = model_attempt(
            trajectory_id("s", agent), number, request_body(TALK[:1]), TALK[1], task=task, id=str(number)
        )
        store.append([one])
    record(store, "other", TALK, task="t")
    return store


def test_a_session_s_named_agents_are_sub_agents_in_the_order_in_which_they_began() -> None:
    found = recorded_in(stored("late", None, "b", "a"), "s")
    assert found.main is not None
    assert (found.main.id, found.sub_agents) == ("s", ("s/late", "s/b", "s/a"))


def test_where_all_agents_are_named_the_first_is_the_main_one() -> None:
    found = recorded_in(stored("first", "second"), "s")
    assert found.main is not None
    assert (found.main.id, found.sub_agents) == ("s/first", ("s/second",))


def test_a_session_in_which_nothing_was_asked_has_none() -> None:
    assert recorded_in(MemoryStore(), "s") == Recorded()


def test_of_a_recording_only_agents_at_the_same_task_are_sub_agents_and_a_named_one_has_none() -> None:
    store = stored(None, "helper")
    other = model_attempt("s/elsewhere", 7, request_body(TALK[:1]), TALK[1], task="another", id="7")
    store.append([other])
    assert sub_agents_of(store, store.trajectory("s")) == ("s/helper",)
    assert sub_agents_of(store, store.trajectory("s/helper")) == ()
    assert {one.id for one in store.find() if is_sub_agent(store, one)} == {"s/helper", "s/elsewhere"}
    assert not any(is_sub_agent(named, one) for named in [stored("a", "b")] for one in named.find())
