from __future__ import annotations

import json

import pytest

from proxy import memory as module
from proxy.memory import Memories, TrajectoryMemory, begins_like
from proxy.wire.layout import Layout, read_layout
from trajectory.conversation import Reply, ToolCall
from trajectory.ids import trajectory_id


def layout(*contents: str) -> Layout:
    messages = [{"role": "user", "content": c} for c in contents]
    return read_layout(json.dumps({"model": "m", "messages": messages}).encode(), "messages")


def known(memories: Memories, name: str) -> TrajectoryMemory:
    return memories.get(name, name, None, None)


def test_the_attempts_of_a_body_are_counted_until_one_succeeds() -> None:
    memory = TrajectoryMemory("t", "t")
    assert memory.attempt_of("d", "op1") == ("op1", 1)
    memory.ended("d", "op1", failed=True)
    assert memory.attempt_of("d", "op2") == ("op1", 2)
    memory.ended("d", "op1", failed=False)
    assert memory.attempt_of("d", "op3") == ("op3", 1)


def test_the_same_body_at_the_same_time_is_another_operation_and_keeps_its_own_end() -> None:
    memory = TrajectoryMemory("t", "t")
    assert memory.attempt_of("d", "op1") == ("op1", 1)
    assert memory.attempt_of("d", "op2") == ("op2", 1)
    memory.ended("d", "op1", failed=True)
    memory.ended("d", "op2", failed=False)
    assert memory.attempt_of("d", "op3") == ("op3", 1)


def test_operations_of_a_trajectory_are_bounded() -> None:
    memory = TrajectoryMemory("t", "t")
    for number in range(1000):
        memory.attempt_of(str(number), str(number))
    assert len(memory.operations) <= 64


def test_trajectories_are_forgotten_least_recently_used_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TRAJECTORIES", 3)
    memories = Memories()
    first = {name: known(memories, name) for name in "abc"}
    known(memories, "a")
    known(memories, "d")
    assert memories.known("b") is None
    assert [memories.known(name) is first[name] for name in "ac"] == [True, True]


def test_bodies_in_memory_are_bounded_and_accounted_for_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(layout("x" * 100).body)
    monkeypatch.setattr(module, "_MAX_BODY_BYTES", 3 * size)
    memories = Memories()
    for round_ in range(3):  # a layout that is replaced counts once
        for name in "abcdef":
            memories.judged(known(memories, name), layout("x" * 100))
            held = [m for m in "abcdef" if (k := memories.known(m)) is not None and k.layout is not None]
            assert memories._body_bytes == size * len(held) <= 3 * size
        assert len(held) == 3, round_


def test_turns_that_are_kept_in_two_views_count_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.memory._MAX_BODY_BYTES", 1000)
    memories = Memories()
    first = known(memories, "a")
    first.views.held_bytes = 900
    memories.judged(first, layout("x"))
    memories.judged(known(memories, "b"), layout("y" * 100))
    assert memories.known("a") is None and memories.known("b") is not None
    memories.forget("b")
    assert memories._body_bytes == 0


def test_a_trajectory_forgotten_while_it_is_under_way_comes_back_and_counts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(layout("x" * 100).body)
    monkeypatch.setattr(module, "_MAX_BODY_BYTES", 2 * size)
    memories = Memories()
    early = known(memories, "early")
    memories.judged(early, layout("x" * 100))
    for name in "abc":
        memories.judged(known(memories, name), layout("x" * 100))
    assert memories.known("early") is None and early.layout is None
    memories.judged(early, layout("y" * 100))
    assert memories.known("early") is early
    assert memories._body_bytes == 2 * size
    for name in "defg":
        memories.judged(known(memories, name), layout("x" * 100))
    assert memories._body_bytes == 2 * size


def test_a_forgotten_trajectory_does_not_push_out_the_one_that_took_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TRAJECTORIES", 1)
    memories = Memories()
    old = known(memories, "a")
    known(memories, "b")
    new = known(memories, "a")
    memories.judged(old, layout("x"))
    assert memories.known("a") is new and memories._body_bytes == 0


def test_a_call_id_that_two_trajectories_know_names_neither() -> None:
    memories = Memories()
    sent = {name: layout(name) for name in "ab"}
    for name in "ab":
        memories.judged(known(memories, name), sent[name])
    answer = Reply("", (ToolCall("call_0", "look", "{}"),))
    memories.answered(known(memories, "a"), sent["a"], answer)
    assert memories.by_call(["call_0"]) is known(memories, "a")
    memories.answered(known(memories, "b"), sent["b"], answer)
    assert memories.by_call(["call_0"]) is None
    memories.answered(known(memories, "a"), sent["a"], answer)
    assert memories.by_call(["call_0"]) is None


def test_a_proposal_is_found_by_name_and_arguments_in_any_spelling() -> None:
    memories = Memories()
    sent = layout("x")
    memories.judged(known(memories, "a"), sent)
    memories.answered(known(memories, "a"), sent, Reply("", (ToolCall("i", "look", '{"b": 1, "a": "\\u0041"}'),)))
    assert memories.by_proposal("look", '{"a":"A","b":1}') is known(memories, "a")
    assert memories.by_proposal("look", '{"a":"A","b":2}') is None
    assert memories.by_proposal("lookup", '{"a":"A","b":1}') is None


def test_what_models_propose_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CALL_IDS", 10)
    memories = Memories()
    sent = layout("x")
    memories.judged(known(memories, "a"), sent)
    for number in range(100):
        call = ToolCall(f"{number}" + "i" * 10_000, "look", f'"{"x" * 10_000}{number}"')
        memories.answered(known(memories, "a"), sent, Reply("", (call,)))
    assert len(memories._by_call) <= 10 and max(map(len, memories._by_call)) < 300


def test_a_body_begins_like_another_only_up_to_the_last_byte_of_an_item() -> None:
    before = layout("a" * 100, "b" * 100)
    longer = layout("a" * 100, "b" * 100, "c").body
    other = layout("a" * 100, "X" + "b" * 99).body
    assert begins_like(longer, before, 2) and begins_like(other, before, 1)
    assert not begins_like(other, before, 2)
    assert not begins_like(longer, before, 0) and not begins_like(longer, before, 3)


def test_of_a_session_that_is_forgotten_nothing_is_held_and_of_others_all() -> None:
    memories = Memories()
    for session in ("s1", "s2"):
        for agent in (None, "helper"):
            memory = memories.get(trajectory_id(session, agent), session, None, agent)
            asked = layout("hi")
            memories.judged(memory, asked)
            memories.answered(
                memory, asked, Reply(calls=(ToolCall(f"{memory.id}-1", "search", "{}"),), id=f"{memory.id}-r")
            )
    memories.forget("s1")
    assert all("s1" not in str(held) for held in (memories._by_id, memories._by_call, memories._by_opening))
    assert memories._body_bytes == 2 * len(layout("hi").body)
    assert memories.by_call(["s1-1", "s1-r", "s1/helper-1"]) is None
    assert memories.by_call(["s2-1"]) is memories.known("s2")
    memories.forget("s2")
    memories.forget("unknown")
    held = (memories._by_id, memories._by_call, memories._by_opening)
    assert (memories._body_bytes, [len(one) for one in held]) == (0, [0, 0, 0])
