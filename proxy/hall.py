"""The hallway behind both doors: who is calling, where to, and the exchange that comes of it. No sockets here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct, structs

from policies.engine import Engine
from policies.verdict import Refuse
from proxy.approvals import Approver
from proxy.coding import Coding
from proxy.exchange import Exchange
from proxy.http_operation import HttpOperation
from proxy.mcp_links import McpLinks
from proxy.mcp_operation import McpOperation
from proxy.memory import Memories
from proxy.model_operation import ModelOperation
from proxy.operation import Operation, Route, Swap
from proxy.recording import AttemptDraft
from proxy.redactor import Redactor
from proxy.refused_operation import RefusedOperation
from proxy.routing import Destination, Router, target_of
from proxy.settings import Upstream
from proxy.street import Street
from proxy.wire.choose import WIRES, wire_at
from trajectory.clock import Clock, Entropy
from trajectory.ids import checked_name, new_id, trajectory_id
from trajectory.record import Attempt, Door, VerdictNote


class Visitor(Struct, frozen=True):
    """What a client says of itself."""

    session: str | None
    task: str | None
    agent: str | None
    address: str

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], remote: str | None) -> Visitor:
        return cls(
            headers.get("x-ironcage-session") or None,
            headers.get("x-ironcage-task") or None,
            headers.get("x-ironcage-agent") or None,
            remote or "unknown",
        )


@dataclass(slots=True, eq=False)
class Hall:
    router: Router
    engine: Engine
    clock: Clock
    entropy: Entropy
    redactor: Redactor | None = None
    max_body_bytes: int = 64 * 1024 * 1024
    """Bound of a compressed body, uncompressed."""
    memories: Memories = field(default_factory=Memories)
    mcp_links: McpLinks = field(default_factory=McpLinks)
    swaps: dict[str, Swap] = field(default_factory=dict)
    """By session: the candidate that answers in place of the model asked for."""
    streets: dict[str, Street] = field(default_factory=dict)
    """By session: what answers its model requests, where that is not plainly the upstream."""
    closed: set[str] = field(default_factory=set)
    """Sessions that are over: what still comes for them is refused."""
    watchers: dict[str, Callable[[VerdictNote], None]] = field(default_factory=dict)
    """By session: told of each verdict that was not plain allow, before it is written down."""
    approver: Approver | None = None
    """Who decides on calls that a rule leaves to a person; without one they are refused."""
    approvers: dict[str, Approver] = field(default_factory=dict)
    """By session: who decides there in the place of `approver`."""
    heard: Callable[[Attempt], None] | None = None
    """Told of each attempt once it is written down, before its last bytes go out: what it does must not take time."""
    own_addresses: frozenset[tuple[str, int]] = frozenset()
    """Host and port of the base-URL door itself: a client with only HTTP_PROXY set may reach it through the proxy."""

    def destination(self, method: str, raw_path: str, visitor: Visitor, target: str | None) -> Destination:
        """Raises ClientError for names that are none."""
        session = checked_name("session", visitor.session) if visitor.session else None
        if target is None:
            found = self.router.base_url(method, raw_path, session)
        else:
            wanted = target_of(target)
            if (wanted.host, wanted.port) in self.own_addresses:
                found = self.router.base_url(method, raw_path, session)
            else:
                found = self.router.through_proxy(method, raw_path, wanted, session)
        if found.session is not None and found.session in self.closed:
            over = Refuse("route_refused", "session", "This session is over.", found.session)
            return structs.replace(found, refused=over)
        return found

    def approver_of(self, session: str) -> Approver | None:
        return self.approvers.get(session, self.approver)

    def tell(self, attempt: Attempt) -> None:
        watcher = self.watchers.get(attempt.session)
        if watcher is not None:
            for note in attempt.verdicts:
                watcher(note)

    def exchange(self, destination: Destination, visitor: Visitor, door: Door) -> tuple[Exchange, Destination]:
        now_s = self.clock.now_s()
        attempt_id = new_id(now_s, self.entropy(7))
        swap = self.swaps.get(destination.session or "")
        if swap is not None and destination.route.kind == "model":
            destination = self._swapped(destination, swap)
        operation = self._operation(destination, visitor, attempt_id, swap)
        draft = AttemptDraft(attempt_id, destination.route, door, now_s)
        exchange = Exchange(
            destination.route,
            operation,
            self.engine,
            draft,
            reviews=self.redactor is not None,
            coding=Coding(self.max_body_bytes, destination.route.is_judged),
            refused=destination.refused,
        )
        return exchange, destination

    def upstream(self, name: str) -> Upstream | None:
        return self.router.get(name)

    def _operation(self, destination: Destination, visitor: Visitor, new: str, swap: Swap | None) -> Operation:
        route = destination.route
        named = destination.session is not None
        task = checked_name("task", visitor.task) if visitor.task else None
        agent = checked_name("agent", visitor.agent) if visitor.agent else None
        if destination.session is not None:
            session = destination.session
            memory = self.memories.get(trajectory_id(session, agent), session, task, agent)
        else:
            session = new if route.kind == "model" else self._stray(visitor.address)
            memory = self.memories.fresh(trajectory_id(session, agent), session, task, agent)
        matched_by = destination.known_as or "new"
        if destination.refusal_status is not None:
            return RefusedOperation(route, memory, self.redactor, matched_by, refusal_status=destination.refusal_status)
        if destination.refused is not None and route.wire != "mcp":
            return RefusedOperation(route, memory, self.redactor, matched_by)
        if route.kind == "model":
            return ModelOperation(
                route,
                wire_at(route.wire, route.path),
                self.memories,
                memory,
                named,
                self.redactor,
                swap,
                matched_by,
                began_s=self.clock.now_s(),
                weighs=self.engine.reads_sizes,
            )
        if route.wire == "mcp":
            return McpOperation(
                route, self.memories, self.mcp_links, memory, named, self.redactor, new, matched_by=matched_by
            )
        return HttpOperation(route, self.memories, memory, named, self.redactor, matched_by)

    def _stray(self, address: str) -> str:
        """Calls that belong to no session share one for each client and hour, so that budgets hold for them too."""
        hour = int(self.clock.now_s() // 3600)
        safe = "".join(c if c.isalnum() or c in ".:" else "-" for c in address)
        return f"stray-{safe}-{hour}"[:128]

    def _swapped(self, destination: Destination, swap: Swap) -> Destination:
        upstream = self.router.upstream(swap.upstream)
        route = destination.route
        rest = route.path.removeprefix(self.router.upstream(route.upstream).path)
        path = WIRES[route.wire].path_with_model(upstream.path + rest, swap.model)
        changed = Route(route.kind, route.wire, swap.upstream, upstream.host, route.method, path)
        origin = upstream.base_url.removesuffix(upstream.path) if upstream.path else upstream.base_url
        return Destination(changed, origin, destination.session, destination.known_as)
