"""The running totals that budgets are checked against: reserve, then settle.

One ledger serves SDK retries, repeated operations and sub-agents of a session alike. Amounts are integers
(bytes, attempts), so that sums are exact.
"""

from __future__ import annotations

from typing import Protocol


class Ledger(Protocol):
    def reserve(self, account: str, amount: int, limit: int) -> bool:
        """Take `amount` from `account` if its total then stays within `limit`; all or nothing.

        Raises StoreError if the ledger cannot be reached: the engine then refuses (ledger_unavailable).
        """

    def release(self, account: str, amount: int) -> None:
        """Give back what was reserved and not used. The total never falls below zero."""

    def total(self, account: str) -> int: ...

    def note_end(self, trajectory: str, digest: str, failed: bool) -> None:
        """Remember how the last attempt at this body ended in this trajectory."""

    def failed_before(self, trajectory: str, digest: str) -> bool:
        """Whether the last attempt at this body in this trajectory failed, was cut or was aborted."""
