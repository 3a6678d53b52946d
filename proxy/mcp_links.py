"""What one MCP exchange leaves behind for later ones: which call a task or a state belongs to, what tools look like.

All of it is forgotten, oldest first, at a bound: then a later exchange is recorded unlinked, and its headers are
compared with the arguments in general instead of with the one that a tool's definition marks.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from proxy.wire.mcp_headers import Mirrors, mirrors_of
from trajectory.ids import session_of

_MAX_LINKS = 100_000
_MAX_TOOLS = 20_000

LinkKind = Literal["task", "state", "event", "session"]


@dataclass(frozen=True, slots=True)
class Link:
    """The exchange that is continued: its trajectory, and its operation (empty for a session's)."""

    trajectory: str
    operation: str = ""


@dataclass(frozen=True, slots=True)
class _Tool:
    digest: bytes
    mirrors: Mirrors


class McpLinks:
    def __init__(self) -> None:
        self._links: OrderedDict[bytes, Link] = OrderedDict()
        self._tools: OrderedDict[tuple[str, str], _Tool] = OrderedDict()

    def remember(self, kind: LinkKind, upstream: str, key: str, link: Link) -> None:
        if not key:
            return
        address = _address(kind, upstream, key)
        self._links[address] = link
        self._links.move_to_end(address)
        while len(self._links) > _MAX_LINKS:
            self._links.popitem(last=False)

    def find(self, kind: LinkKind, upstream: str, key: str) -> Link | None:
        return self._links.get(_address(kind, upstream, key)) if key else None

    def forget(self, session: str) -> None:
        """Nothing goes on with an exchange of this session any more."""
        over = [address for address, link in self._links.items() if session_of(link.trajectory) == session]
        for address in over:
            del self._links[address]

    def listed(self, upstream: str, tools: Iterable[dict[str, Any]]) -> tuple[str, ...]:
        """Note definitions as a server gives them; the names of those that it gave differently before."""
        changed: list[str] = []
        for tool in tools:
            name = tool.get("name")
            if not isinstance(name, str):
                continue
            known = self._tools.get((upstream, name))
            seen = _Tool(_digest(tool), mirrors_of(tool.get("inputSchema")))
            if known is not None and known.digest != seen.digest:
                changed.append(name)
            self._tools[upstream, name] = seen
            self._tools.move_to_end((upstream, name))
        while len(self._tools) > _MAX_TOOLS:
            self._tools.popitem(last=False)
        return tuple(changed)

    def mirrors(self, upstream: str, tool: str) -> Mirrors | None:
        known = self._tools.get((upstream, tool))
        return known.mirrors if known is not None else None


def _address(kind: str, upstream: str, key: str) -> bytes:
    """Sessions and states are as good as credentials: only their digests are kept."""
    return hashlib.blake2b(f"{kind}\0{upstream}\0{key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _digest(tool: dict[str, Any]) -> bytes:
    try:
        canonical = msgspec.json.encode(tool, order="sorted")
    except (ValueError, OverflowError, RecursionError):  # lone surrogates, integers beyond 64 bits
        canonical = repr(tool).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(canonical, digest_size=16).digest()
