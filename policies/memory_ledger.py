"""A ledger in the memory of one process: for one worker. Its totals end with the process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Literal

from trajectory.errors import StoreError


class MemoryLedger:
    """Totals of up to `max_accounts` accounts, and up to as many bodies whose last attempt failed. Thread-safe.

    Beyond that, "forget" drops what was used longest ago, so that memory is bounded. That is on the safe side in
    this sense: a client may begin a new trajectory, with a fresh budget, whenever it likes, and to push one
    trajectory out takes `max_accounts` younger ones, so forgetting grants no more than naming a new session
    does. Where trajectories are not the client's to name, choose "refuse": a new account then raises StoreError
    (the engine answers ledger_unavailable) until the process is restarted.
    """

    def __init__(self, max_accounts: int = 100_000, when_full: Literal["forget", "refuse"] = "forget") -> None:
        if max_accounts < 1:
            raise ValueError("a ledger needs room for at least one account")
        self._max_accounts = max_accounts
        self._forgets = when_full == "forget"
        self._totals: OrderedDict[str, int] = OrderedDict()
        self._failed: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = Lock()

    def reserve(self, account: str, amount: int, limit: int) -> bool:
        if amount < 0:
            raise ValueError("an amount to reserve cannot be negative")
        with self._lock:
            totals = self._totals
            known = totals.get(account)
            total = amount if known is None else known + amount
            if total > limit:
                return False
            if known is None:
                self._make_room(totals)
            totals[account] = total
            totals.move_to_end(account)
            return True

    def release(self, account: str, amount: int) -> None:
        if amount < 0:
            raise ValueError("an amount to release cannot be negative")
        with self._lock:
            total = self._totals.get(account)
            if total is not None:
                self._totals[account] = max(0, total - amount)

    def total(self, account: str) -> int:
        with self._lock:
            return self._totals.get(account, 0)

    def note_end(self, trajectory: str, digest: str, failed: bool) -> None:
        body = (trajectory, digest)
        with self._lock:
            if not failed:
                self._failed.pop(body, None)
                return
            if body not in self._failed:
                self._make_room(self._failed)
            self._failed[body] = None
            self._failed.move_to_end(body)

    def failed_before(self, trajectory: str, digest: str) -> bool:
        with self._lock:
            return (trajectory, digest) in self._failed

    def _make_room[K, V](self, entries: OrderedDict[K, V]) -> None:
        """Room for one more entry. StoreError if there is none and nothing may be forgotten."""
        if len(entries) < self._max_accounts:
            return
        if not self._forgets:
            raise StoreError(
                f"the ledger in memory is full ({self._max_accounts} accounts)",
                hint="restart the proxy, raise the ledger's size, or let it forget the oldest accounts",
            )
        entries.popitem(last=False)
