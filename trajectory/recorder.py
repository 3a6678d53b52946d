"""The recorder: recorded before delivered, at the price of a group commit.

1. `commit` returns only when its attempt is in the store; whoever waits for it may then release the reply.
2. One thread writes. It takes all that is queued (up to `max_batch`) in one transaction; meanwhile others queue
   up. An attempt that finds the thread idle is written at once.
3. A batch that fails is tried again one by one: a bad attempt does not take its neighbours along.
4. The queue is bounded in attempts and bytes; when it is full, `commit` waits for room.
5. A waiter that is cancelled stops waiting; its attempt is written all the same.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from trajectory.clock import SYSTEM_CLOCK, Clock
from trajectory.errors import StoreError
from trajectory.record import Attempt
from trajectory.store import Store

_CLOSED_HINT = "the proxy is starting or shutting down; send the request again"
# How long a failed batch may be tried again one by one before a store that is down fails all that wait for it.
_RETRY_BUDGET_S = 5.0


@dataclass(slots=True)
class _Waiting:
    attempt: Attempt
    size: int
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]
    error: StoreError | None = None


class Recorder:
    """Writes attempts to a store for any number of tasks, of one event loop or several.

    `company` says how many exchanges are under way, from any thread. While there are several, the writer waits up
    to `max_delay_s` for half of them, since a commit costs about as much for ten attempts as for one; an exchange
    that is alone never waits. Without `company` the size of the last batch is the guess.
    """

    def __init__(
        self,
        store: Store,
        *,
        max_batch: int = 500,
        max_delay_s: float = 0.0,
        max_queued: int = 10_000,
        max_queued_bytes: int = 256 * 1024 * 1024,
        company: Callable[[], int] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if max_batch < 1 or max_queued < 1:
            raise ValueError("max_batch and max_queued are at least 1")
        self._store = store
        self._max_batch = max_batch
        self._max_delay_s = max_delay_s
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._company = company
        self._clock = clock
        self._changed = threading.Condition(threading.Lock())
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._for_room: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._wakes_at = 0  # queue length at which the writer wants to be woken; 0: it is not asleep
        self._open = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the writer thread. RuntimeError if it was started before."""
        if self._thread is not None:
            raise RuntimeError("a recorder starts once")
        self._open = True
        # A daemon, so that an abandoned recorder cannot keep the process alive; close() waits for it.
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Take no more, write what is queued, stop. Those who wait for room get a StoreError. May be called twice."""
        with self._changed:
            self._open = False
            gates = self._take_gates()
            self._changed.notify()
        _open_gates(gates)
        if self._thread is not None:
            # Not the default executor: the loop may be about to shut it down.
            await _joined(self._thread)

    async def commit(self, attempt: Attempt) -> None:
        """Return when `attempt` is in the store, at the store's durability. StoreError if it could not be written."""
        loop = asyncio.get_running_loop()
        size = _size(attempt)
        while True:
            with self._changed:
                if not self._open:
                    raise StoreError("the recorder is closed", hint=_CLOSED_HINT)
                done = loop.create_future()
                if self._has_room(size):
                    self._queue.append(_Waiting(attempt, size, loop, done))
                    self._queued_bytes += size
                    if 0 < self._wakes_at <= len(self._queue):
                        self._wakes_at = 0
                        self._changed.notify()
                    break
                self._for_room.append((loop, done))
            await done
        await done

    @property
    def queued(self) -> int:
        """How many attempts wait for the next transaction; for metrics."""
        return len(self._queue)

    def _has_room(self, size: int) -> bool:
        """An attempt larger than the whole bound goes alone rather than never."""
        if not self._queue:
            return True
        return len(self._queue) < self._max_queued and self._queued_bytes + size <= self._max_queued_bytes

    def _write_all(self) -> None:
        last = 0
        while batch := self._next_batch(last):
            last = len(batch)
            self._write(batch)
            _wake(batch)

    def _next_batch(self, last: int) -> list[_Waiting]:
        """Empty when closed and drained. `last`: how many attempts the batch before had."""
        with self._changed:
            while not self._queue and self._open:
                self._wakes_at = 1
                self._changed.wait()
            self._wakes_at = 0
            expected = last if self._company is None else self._company() // 2
            self._await_company(min(expected, self._max_batch))
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch))]
            self._queued_bytes -= sum(waiting.size for waiting in batch)
            gates = self._take_gates()
        _open_gates(gates)
        return batch

    def _await_company(self, expected: int) -> None:
        if self._max_delay_s <= 0 or expected < 2:
            return
        deadline = self._clock.monotonic_s() + self._max_delay_s
        while self._open and len(self._queue) < expected:
            left = deadline - self._clock.monotonic_s()
            self._wakes_at = expected
            if left <= 0 or not self._changed.wait(left):
                break
        self._wakes_at = 0

    def _take_gates(self) -> list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]]:
        gates = list(self._for_room)
        self._for_room.clear()
        return gates

    def _write(self, batch: list[_Waiting]) -> None:
        error = self._append([waiting.attempt for waiting in batch])
        if error is None:
            return
        if len(batch) == 1:
            batch[0].error = error
            return
        deadline = self._clock.monotonic_s() + _RETRY_BUDGET_S
        for waiting in batch:
            late = self._clock.monotonic_s() > deadline
            waiting.error = error if late else self._append([waiting.attempt])

    def _append(self, attempts: list[Attempt]) -> StoreError | None:
        try:
            self._store.append(attempts)
        except StoreError as error:
            return error
        except Exception as error:  # broad: whatever it is, those who wait must be told, and the thread must live
            told = StoreError(f"an attempt could not be written: {error!r}", hint="this is a bug: please report it")
            told.__cause__ = error
            return told
        return None


def _size(attempt: Attempt) -> int:
    spans = (*attempt.request, *attempt.reply, *(attempt.client_reply or ()))
    return sum([len(span.data) for span in spans])


def _wake(batch: list[_Waiting]) -> None:
    """One call into each event loop for the whole batch."""
    loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in batch:
        loops.setdefault(waiting.loop, []).append(waiting)
    for loop, those in loops.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, those)


def _settle(those: list[_Waiting]) -> None:
    for waiting in those:
        if waiting.done.done():  # cancelled
            continue
        if waiting.error is None:
            waiting.done.set_result(None)
        else:
            # Each gets its own: one exception raised in many tasks would share their tracebacks.
            own = StoreError(str(waiting.error), hint=waiting.error.hint)
            own.__cause__ = waiting.error
            waiting.done.set_exception(own)


def _open_gates(gates: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for loop, gate in gates:
        loops.setdefault(loop, []).append(gate)
    for loop, those in loops.items():
        with suppress(RuntimeError):  # as in _wake
            loop.call_soon_threadsafe(_release, those)


def _release(gates: list[asyncio.Future[None]]) -> None:
    for gate in gates:
        if not gate.done():
            gate.set_result(None)


async def _joined(thread: threading.Thread) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def watch() -> None:
        thread.join()
        with suppress(RuntimeError):  # as in _wake
            loop.call_soon_threadsafe(_release, [ended])

    threading.Thread(target=watch, name="recorder-end", daemon=True).start()
    await ended
