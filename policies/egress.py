"""The egress limit: which hosts a trajectory may reach, and how many bytes it may move."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

from policies.hosts import HostAllowlist
from policies.ledger import Ledger
from policies.quoting import listed, shown
from policies.verdict import ALLOW, Refuse, Verdict
from trajectory.events import BytesMoved, Event, ModelAsked, ToolAsked

MB = 1024 * 1024
_ASKS = (ModelAsked, ToolAsked)


class EgressLimit:
    """Allows the configured hosts and those that `hosts` matches, and `limit_bytes` for each trajectory.

    `hosts` None or empty: only the configured ones. `limit_bytes` None: hosts are judged, bytes are not counted.
    `count` "both" counts what is sent and what is received, "sent" only the former. A configured host stands for
    the port that it carries, or for the default ones. The total never passes the limit: a chunk that would is
    refused whole, and an ask is refused at once when its body no longer fits or nothing is left for a reply.
    """

    name: ClassVar[str] = "egress_limit"
    events: ClassVar[frozenset[type[Event]]] = frozenset({ModelAsked, ToolAsked, BytesMoved})

    def __init__(
        self,
        limit_bytes: int | None,
        hosts: Collection[str] | None,
        configured_hosts: Collection[str],
        count: Literal["both", "sent"] = "both",
    ) -> None:
        """Raises ValueError for a host or pattern that cannot be read."""
        self._limit = limit_bytes
        self._allowed = HostAllowlist(hosts or (), configured_hosts)
        self._counts_received = count == "both"

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, BytesMoved):
            return self._judge_bytes(event, ledger)
        if isinstance(event, _ASKS):
            return self._judge_ask(event, ledger)
        return ALLOW

    def _judge_bytes(self, event: BytesMoved, ledger: Ledger) -> Verdict:
        if self._limit is None:
            return ALLOW
        amount = event.sent + event.received if self._counts_received else event.sent
        account = f"egress:{event.trajectory}"
        if amount == 0 or ledger.reserve(account, amount, self._limit):
            return ALLOW
        return self._spent(event.host, ledger.total(account), amount, self._limit)

    def _judge_ask(self, event: ModelAsked | ToolAsked, ledger: Ledger) -> Verdict:
        if not self._allowed.allows(event.host):
            return self._unknown_host(event.host)
        if self._limit is None:
            return ALLOW
        used = ledger.total(f"egress:{event.trajectory}")
        needed = max(event.body_bytes, 1 if self._counts_received else 0)
        return ALLOW if used + needed <= self._limit else self._spent(event.host, used, needed, self._limit)

    def _spent(self, host: str, used: int, needed: int, limit: int) -> Refuse:
        return Refuse(
            code="egress_budget_exhausted",
            rule=self.name,
            message=(
                f"The egress budget of this trajectory is spent: {used} of {limit} bytes were moved "
                f"({used / MB:.2f} of {limit / MB:.2f} MB, constraints.network_egress_limit_mb), and this needs "
                f"{needed} more. Nothing larger than the {max(0, limit - used)} bytes left will pass."
            ),
            subject=shown(host),
        )

    def _unknown_host(self, host: str) -> Refuse:
        allowed = listed(pattern.text for pattern in self._allowed.patterns)
        return Refuse(
            code="egress_host_refused",
            rule=self.name,
            message=(
                f'The host "{shown(host)}" may not be reached. Allowed hosts: {allowed}. To allow another one, the '
                f"operator names it under upstreams, or in policies.egress.hosts (or constraints.egress_hosts)."
            ),
            subject=shown(host),
        )
