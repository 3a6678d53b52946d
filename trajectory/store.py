"""What every store can do. Implementations: memory (tests, small imports) and SQL (SQLite, PostgreSQL).

All methods block and are safe to call from any thread. They raise StoreError when the store cannot be reached
or is broken, never an error of the database library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

from trajectory.record import Attempt
from trajectory.runs import Bakeoff, Run
from trajectory.trajectory import Launch, OutcomeLabel, Trajectory, TrajectorySummary

Side = Literal["request", "reply", "client_reply"]
Place = tuple[float, str]
"""Start (seconds since 1970) and id of a trajectory: its place in a listing. With an empty id, that instant's end."""


class Store(Protocol):
    def append(self, attempts: Sequence[Attempt]) -> None:
        """Write all of `attempts` in one transaction: when this returns, they survive at the store's durability.

        An operation's trajectory comes into being with its first attempt. An attempt whose id is known replaces
        the one before: appending again after an error is safe.
        """

    def launched(
        self, trajectory: str, launch: Launch | None, *, task: str | None = None, source: str = "live"
    ) -> None:
        """Note how a trajectory's agent was started; the trajectory comes into being if it is new. Last one wins.

        A None for `launch` or `task` leaves what is known of it.
        """

    def label(self, trajectory: str, label: OutcomeLabel | None, evidence: str) -> None:
        """Say that a recorded run passed or failed (None: take it back). StoreError if there is no such trajectory."""

    def find(
        self,
        *,
        session: str | None = None,
        task: str | None = None,
        source: str | None = None,
        before: Place | None = None,
        limit: int = 1000,
    ) -> list[TrajectorySummary]:
        """Newest first; `before`: only what comes behind this place in that order."""

    def trajectory(self, trajectory: str) -> Trajectory:
        """Steps in the order in which they began. StoreError if there is no such trajectory."""

    def attempts(self, trajectory: str) -> Iterator[Attempt]:
        """All attempts with their bodies as they were written, by start; equal spans share memory.

        StoreError if there is no such trajectory.
        """

    def body(self, attempt: str, side: Side) -> bytes | None:
        """The exact bytes that were recorded; None if there were none (or `client_reply` did not differ).

        A `client_reply` that differed by being empty is b"". StoreError if there is no such attempt.
        """

    def delete(self, trajectory: str) -> None:
        """Remove a trajectory, and each span that nothing else uses. StoreError if there is no such trajectory."""

    def put_task(self, task: str, document: str) -> None:
        """Keep a task's JSON document under its name, replacing an older one."""

    def tasks(self) -> dict[str, str]:
        """Name to JSON document."""

    def put_bakeoff(self, bakeoff: Bakeoff) -> None: ...

    def bakeoffs(self) -> list[Bakeoff]:
        """Newest first."""

    def put_runs(self, runs: Iterable[Run]) -> None:
        """One transaction; a run with a known id is replaced."""

    def runs(self, bakeoff: str) -> list[Run]:
        """In the order in which they were put."""

    def close(self) -> None: ...
