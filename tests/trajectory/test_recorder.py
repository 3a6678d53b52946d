from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import uvloop

from tests.support.attempts import body, model_attempt
from trajectory.errors import StoreError
from trajectory.memory import MemoryStore
from trajectory.record import Attempt
from trajectory.recorder import Recorder
from trajectory.sql.opening import open_store
from trajectory.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]


class GatedStore(MemoryStore):
    """Notes each batch; appends wait while `gate` is closed; a `poison` id, or all while `down`, cannot be written."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.poison: str | None = None
        self.bug: str | None = None

    def append(self, attempts: Sequence[Attempt]) -> None:
        self.batches.append([attempt.id for attempt in attempts])
        self.entered.release()
        assert self.gate.wait(30)
        if any(attempt.id == self.poison for attempt in attempts):
            raise StoreError("no room", hint="make some")
        if any(attempt.id == self.bug for attempt in attempts):
            raise TypeError("unexpected")
        super().append(attempts)


async def test_a_commit_returns_only_when_the_attempt_is_in_the_store(store: Store) -> None:
    recorder = Recorder(store)
    recorder.start()
    try:
        await recorder.commit(model_attempt(1))
        assert store.body("a000001", "reply") == b'{"answer":1}'
    finally:
        await recorder.close()


async def test_what_queues_up_during_a_write_shares_the_next_transaction() -> None:
    store = GatedStore()
    store.gate.clear()
    recorder = Recorder(store, max_batch=3)
    recorder.start()
    first = asyncio.create_task(recorder.commit(model_attempt(0)))
    await asyncio.to_thread(store.entered.acquire)
    rest = [asyncio.create_task(recorder.commit(model_attempt(n))) for n in range(1, 5)]
    await _queued(recorder, 4)
    assert not first.done()
    store.gate.set()
    await asyncio.gather(first, *rest)
    await recorder.close()
    assert store.batches == [["a000000"], ["a000001", "a000002", "a000003"], ["a000004"]]


@pytest.mark.parametrize("how", ["poison", "bug"])
async def test_a_bad_attempt_does_not_take_its_neighbours_along(how: str) -> None:
    store = GatedStore()
    setattr(store, how, "a000002")
    store.gate.clear()
    recorder = Recorder(store)
    recorder.start()
    first = asyncio.create_task(recorder.commit(model_attempt(0)))
    await asyncio.to_thread(store.entered.acquire)
    rest = [asyncio.create_task(recorder.commit(model_attempt(n))) for n in (1, 2, 3)]
    await _queued(recorder, 3)
    store.gate.set()
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), type(None), StoreError, type(None)]
    assert isinstance(results[2], StoreError)
    assert results[2].hint
    await recorder.commit(model_attempt(9))  # and the recorder goes on
    await recorder.close()
    assert [a.id for a in store.attempts("s-1")] == ["a000000", "a000001", "a000003", "a000009"]


async def test_a_cancelled_waiter_neither_stops_the_recorder_nor_loses_its_attempt() -> None:
    store = GatedStore()
    store.gate.clear()
    recorder = Recorder(store)
    recorder.start()
    leaving = asyncio.create_task(recorder.commit(model_attempt(0)))
    staying = asyncio.create_task(recorder.commit(model_attempt(1)))
    await asyncio.to_thread(store.entered.acquire)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    store.gate.set()
    await staying
    await recorder.close()
    assert len(list(store.attempts("s-1"))) == 2


@pytest.mark.parametrize("bound", [{"max_queued": 2}, {"max_queued_bytes": 200}])
async def test_a_full_queue_makes_commit_wait_and_loses_nothing(bound: dict[str, int]) -> None:
    store = GatedStore()
    store.gate.clear()
    recorder = Recorder(store, max_batch=2, **bound)
    recorder.start()
    first = asyncio.create_task(recorder.commit(model_attempt(0, request=body("x" * 90), reply=())))
    await asyncio.to_thread(store.entered.acquire)
    rest = [
        asyncio.create_task(recorder.commit(model_attempt(n, request=body("x" * 90), reply=()))) for n in range(1, 10)
    ]
    await _queued(recorder, 2)
    assert recorder.queued == 2  # of nine: the others wait outside
    store.gate.set()
    await asyncio.gather(first, *rest)
    await recorder.close()
    assert len(list(store.attempts("s-1"))) == 10


async def test_an_attempt_larger_than_the_bound_is_written_all_the_same() -> None:
    store = MemoryStore()
    recorder = Recorder(store, max_queued_bytes=10)
    recorder.start()
    await asyncio.gather(*(recorder.commit(model_attempt(n, request=body("x" * 1000))) for n in range(5)))
    await recorder.close()
    assert len(list(store.attempts("s-1"))) == 5


async def test_close_writes_what_is_queued_and_takes_no_more() -> None:
    store = GatedStore()
    store.gate.clear()
    recorder = Recorder(store, max_queued=2, max_batch=2)
    recorder.start()
    first = asyncio.create_task(recorder.commit(model_attempt(0)))
    await asyncio.to_thread(store.entered.acquire)
    rest = [asyncio.create_task(recorder.commit(model_attempt(n))) for n in (1, 2, 3)]
    await _queued(recorder, 2)
    closing = asyncio.create_task(recorder.close())
    with pytest.raises(StoreError, match="closed"):
        await rest[2]  # it waited for room
    store.gate.set()
    await asyncio.gather(first, rest[0], rest[1], closing)
    assert len(list(store.attempts("s-1"))) == 3
    with pytest.raises(StoreError, match="closed"):
        await recorder.commit(model_attempt(4))
    await recorder.close()


async def test_a_recorder_that_was_not_started_refuses() -> None:
    recorder = Recorder(MemoryStore())
    with pytest.raises(StoreError):
        await recorder.commit(model_attempt(1))
    await recorder.close()


async def test_company_is_awaited_only_until_as_many_came_as_before() -> None:
    """With a delay of an hour this ends only because the expected number of attempts wakes the writer."""
    store = GatedStore()
    store.gate.clear()
    recorder = Recorder(store, max_delay_s=3600)
    recorder.start()
    first = asyncio.create_task(recorder.commit(model_attempt(0)))
    await asyncio.to_thread(store.entered.acquire)
    pair = [asyncio.create_task(recorder.commit(model_attempt(n))) for n in (1, 2)]
    await _queued(recorder, 2)
    store.gate.set()
    await asyncio.gather(first, *pair)
    await asyncio.gather(*(recorder.commit(model_attempt(n)) for n in (3, 4)))
    last = asyncio.create_task(recorder.commit(model_attempt(5)))
    await _queued(recorder, 1)
    await recorder.close()
    await last
    assert [len(batch) for batch in store.batches] == [1, 2, 2, 1]


def test_one_recorder_serves_uvloop_and_asyncio_at_once() -> None:
    store = MemoryStore()
    recorder = Recorder(store)
    recorder.start()

    async def write(first: int) -> None:
        await asyncio.gather(*(recorder.commit(model_attempt(first + n)) for n in range(50)))

    other = threading.Thread(target=lambda: uvloop.run(write(100)))
    other.start()
    asyncio.run(write(0))
    other.join()
    asyncio.run(recorder.close())
    assert len(list(store.attempts("s-1"))) == 100


@pytest.mark.parametrize("tasks", [1, 20])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, tasks: int) -> None:
    path = tmp_path / "store.db"
    command = [sys.executable, "-m", "tests.support.recording_process", f"sqlite:///{path}", str(tasks)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(60)]
        process.kill()
        acknowledged += process.stdout.readlines()  # what it still said before it died counts as well
        assert process.wait(timeout=30) == -9
    ids = [line.decode().strip() for line in acknowledged if line.endswith(b"\n")]
    assert len(ids) >= 60
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    raw.close()
    store = open_store(f"sqlite:///{path}")
    found = {attempt.id: attempt for attempt in store.attempts("s-1")}
    assert set(ids) <= found.keys()
    for number, attempt in ((int(name[1:]), attempt) for name, attempt in found.items()):
        assert attempt.request == body(f"request {number}" * 100)
        assert attempt.reply == body(f"reply {number}" * 50)
    store.close()


async def _queued(recorder: Recorder, count: int) -> None:
    """Until that many wait in the queue; each turn lets the tasks that were just made run."""
    for _ in range(100):
        if recorder.queued >= count:
            break
        await asyncio.sleep(0)
    assert recorder.queued == count
