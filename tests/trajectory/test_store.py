"""The contract of trajectory.store, held by every implementation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.support.attempts import START, TOOLS, body, model_attempt, tool_attempt
from trajectory.clock import ManualClock
from trajectory.conversation import Reply
from trajectory.errors import StoreError
from trajectory.record import Attempt
from trajectory.runs import Bakeoff, Candidate, Certificate, Limits, Run
from trajectory.store import Store
from trajectory.trajectory import Launch


def test_attempts_come_back_as_they_were_written(store: Store) -> None:
    written = [
        model_attempt(1, client_reply=body("what the client saw"), task="t-1"),
        tool_attempt(2, task="t-1", agent=None, error="reset"),
        model_attempt(3, status=None, first_byte_s=None, reply=(), end="failed", answer=None, tools=(), extra={}),
        model_attempt(4, client_reply=(), headers=(), streamed=False),
    ]
    store.append(written)
    assert list(store.attempts("s-1")) == written


def test_steps_are_operations_in_the_order_in_which_they_began(store: Store) -> None:
    late_retry = model_attempt(9, id="r", operation="op000001", number=2, started_at=START + 5.5)
    failed = msgspec.structs.replace(model_attempt(1), end="failed", status=429)
    store.append([model_attempt(6), late_retry, tool_attempt(5), failed])
    found = store.trajectory("s-1")
    assert [step.operation for step in found.steps] == ["op000001", "op000005", "op000006"]
    assert [step.index for step in found.steps] == [0, 1, 2]
    assert [view.id for view in found.steps[0].attempts] == ["a000001", "r"]
    assert found.steps[0].retries == 1
    assert found.steps[0].tools == TOOLS
    assert found.steps[0].last.end == "complete"
    assert [step.kind for step in found.tool_steps] == ["tool"]
    assert found.started_at == START + 1


def test_bodies_are_exact_and_absent_ones_are_none(store: Store) -> None:
    every_byte = bytes(range(256)) * 40
    store.append([model_attempt(1, request=body(every_byte, b"", b"\x00" * 5000), reply=(), client_reply=())])
    assert store.body("a000001", "request") == every_byte + b"\x00" * 5000
    assert store.body("a000001", "reply") is None
    assert store.body("a000001", "client_reply") == b""
    store.append([model_attempt(2, reply=body(b""))])
    assert store.body("a000002", "reply") == b""
    assert store.body("a000002", "client_reply") is None
    with pytest.raises(StoreError, match="no attempt"):
        store.body("nobody", "request")


def test_the_same_attempt_again_replaces_the_first(store: Store) -> None:
    store.append([model_attempt(1), model_attempt(1)])
    store.append([model_attempt(1, reply=body("second"), status=500)])
    assert [a.status for a in store.attempts("s-1")] == [500]
    assert store.body("a000001", "reply") == b"second"
    assert store.find()[0].attempts == 1


def test_a_listing_counts_without_confusing_trajectories(store: Store) -> None:
    retry = model_attempt(2, id="retry", operation="op000001", number=2, model="model-b", end="refused")
    store.append([model_attempt(1), retry, tool_attempt(3, total_s=2.0)])
    store.append([model_attempt(50, trajectory="s-2/helper", session="s-2", agent="helper", task="t-9")])
    newest, first = store.find()
    assert (newest.id, newest.session, newest.agent, newest.task) == ("s-2/helper", "s-2", "helper", "t-9")
    assert (first.model_calls, first.tool_calls, first.attempts) == (1, 1, 3)
    assert first.refusals == 3  # one attempt that ended refused, one note that counts two
    assert first.models == ("model-a", "model-b")
    assert first.duration_s == pytest.approx(4.0)
    assert [s.id for s in store.find(session="s-1")] == ["s-1"]
    assert [s.id for s in store.find(task="t-9")] == ["s-2/helper"]
    assert [s.id for s in store.find(limit=1)] == ["s-2/helper"]
    assert store.find(source="replay") == []
    assert store.find(limit=0) == []


def test_a_listing_is_read_on_from_any_place_with_nothing_twice_or_left_out(store: Store) -> None:
    for name in ("a", "b", "c"):
        store.append([model_attempt(7, id=name, trajectory=name, session=name)])
    store.append([model_attempt(8, id="new", trajectory="new", session="new")])
    read: list[str] = []
    page = store.find(limit=2)
    while page:
        read += [one.id for one in page]
        page = store.find(before=(page[-1].started_at, page[-1].id), limit=2)
    assert read == ["new", "c", "b", "a"]
    newest = store.find(limit=1)[0]
    assert [one.id for one in store.find(before=(newest.started_at, ""))] == ["c", "b", "a"]


def test_a_launch_may_come_before_the_first_attempt_and_be_completed_later(store: Store, clock: ManualClock) -> None:
    store.launched("s-1", Launch(("python", "agent.py"), "/work dir"), task="t-1", source="replay")
    empty = store.trajectory("s-1")
    assert (empty.steps, empty.started_at, empty.session) == ((), clock.now_s(), "s-1")
    assert store.find()[0].attempts == 0
    store.append([model_attempt(1)])
    done = Launch(("python", "agent.py"), "/work dir", exit_code=3, duration_s=1.5)
    store.launched("s-1", done, source="replay")
    store.launched("s-1", None, source="replay")
    found = store.trajectory("s-1")
    assert (found.launch, found.task, found.source) == (done, "t-1", "replay")
    assert len(found.steps) == 1


def test_a_label_is_kept_and_can_be_taken_back(store: Store) -> None:
    store.append([model_attempt(1)])
    store.label("s-1", "passed", "seen by a person")
    assert (store.trajectory("s-1").label, store.find()[0].label) == ("passed", "passed")
    assert store.trajectory("s-1").label_evidence == "seen by a person"
    store.label("s-1", None, "")
    assert store.trajectory("s-1").label is None


def test_what_is_not_there_is_a_store_error(store: Store) -> None:
    for ask in (store.trajectory, store.delete, store.attempts, lambda name: store.label(name, "failed", "")):
        with pytest.raises(StoreError, match="no trajectory 'nobody'"):
            ask("nobody")


def test_a_deleted_trajectory_leaves_others_whole(store: Store) -> None:
    shared = body("a system prompt that both send " * 20)
    other = model_attempt(3, request=shared, trajectory="s-2", session="s-2")
    store.append([model_attempt(1, request=shared), model_attempt(2, request=shared), other])
    store.delete("s-1")
    assert [s.id for s in store.find()] == ["s-2"]
    assert store.body("a000003", "request") == shared[0].data
    with pytest.raises(StoreError):
        store.body("a000001", "request")
    store.append([model_attempt(1, request=shared)])
    assert store.body("a000001", "request") == shared[0].data


def test_text_that_sql_or_utf8_cannot_hold_is_kept_or_visibly_escaped(store: Store) -> None:
    nasty = "a\x00b\ud800c\U0001f600"
    store.append(
        [
            model_attempt(1, answer=Reply(nasty), extra={"k": nasty}, headers=(("x", nasty),), error=nasty, path=nasty),
            model_attempt(2),
        ]
    )
    found = store.trajectory("s-1").steps[0].last
    assert found.answer == Reply(nasty)
    assert found.headers == (("x", nasty),)
    assert found.extra == (("k", nasty),)
    assert found.error in (nasty, "a\\x00b\\ud800c\U0001f600")


def test_many_threads_write_and_read_at_once(store: Store) -> None:
    shared = body("what all of them send" * 30)

    def write(worker: int) -> None:
        for i in range(5):
            number = worker * 100 + i
            home = f"w-{worker}"
            store.append([model_attempt(number, trajectory=home, session=home, request=shared)])
            assert store.trajectory(home).steps[-1].operation == f"op{number:06}"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert sorted((s.id, s.attempts) for s in store.find()) == [(f"w-{n}", 5) for n in range(4)]


def test_an_empty_batch_is_nothing(store: Store) -> None:
    store.append([])
    assert store.find() == []


def test_tasks_are_replaced_by_name(store: Store) -> None:
    store.put_task("b", "{}")
    store.put_task("a", '{"v": 1}')
    store.put_task("a", '{"v": 2}')
    assert store.tasks() == {"a": '{"v": 2}', "b": "{}"}


def _bakeoff(name: str, created_at: float) -> Bakeoff:
    candidate = Candidate(name="m", upstream="u", model="m", parameters={"temperature": 0.5})
    return Bakeoff(
        id=name,
        created_at=created_at,
        candidates=(candidate,),
        tasks=("t",),
        trials=2,
        seed=1,
        fingerprint="f",
        fingerprint_parts={"tools": "x"},
        constraints={"max_retries": 3, "allowed_tools": ["a"]},
    )


def _run(name: str, bakeoff: str, **changes: object) -> Run:
    limits = Limits(memory_mb=512)
    run = Run(
        id=name,
        bakeoff=bakeoff,
        task="t",
        candidate=Candidate(name="m", upstream="u", model="m"),
        trial=0,
        seed=1,
        fingerprint="f",
        mode="agent",
        status="finished",
        started_at=1.5,
        duration_s=2.5,
        trajectory="s-1",
        certificate=Certificate(grade="portable", asked=limits, applied=limits),
    )
    return run.model_copy(update=changes)


def test_bakeoffs_come_newest_first(store: Store) -> None:
    for bakeoff in (_bakeoff("old", 1.0), _bakeoff("new", 3.0), _bakeoff("old", 2.0)):
        store.put_bakeoff(bakeoff)
    assert store.bakeoffs() == [_bakeoff("new", 3.0), _bakeoff("old", 2.0)]


def test_runs_come_in_the_order_in_which_they_were_put_first(store: Store) -> None:
    store.put_runs([_run("z", "b"), _run("a", "b"), _run("x", "other")])
    store.put_runs(iter([_run("z", "b", answer="again"), _run("m", "b")]))
    store.put_runs([])
    assert [(run.id, run.answer) for run in store.runs("b")] == [("z", "again"), ("a", None), ("m", None)]
    assert store.runs("nothing") == []


def test_attempts_share_equal_spans_when_read(store: Store) -> None:
    shared = "a long message that is sent again each turn " * 50
    store.append([model_attempt(n, request=body(shared, f"new {n}")) for n in range(3)])
    read: list[Attempt] = list(store.attempts("s-1"))
    again = {id(attempt.request[0].data) for attempt in read}
    # The memory store keeps what it was given; a database must not multiply it.
    assert len(again) in (1, 3)
    assert all(attempt.request[0].data == shared.encode() for attempt in read)
