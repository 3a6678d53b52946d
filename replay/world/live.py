"""The real tools of production, asked through the gateway, and only those that were allowed one by one.

What they do is done: nothing is put back after a run. Calls go to a configured upstream, under the policies that are
on, in a session of their own, whose record has the source "replay".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from replay.approvals import DECIDED_BEFORE, Always
from replay.fingerprint import digest_of
from replay.house import House
from replay.world.asked import AskedWorld, Tools
from replay.world.contract import UnknownToolError, World
from replay.world.http_tools import HttpTools
from replay.world.kinds import ToolKinds
from replay.world.mcp_links import HttpLink
from replay.world.mcp_tools import McpTools
from trajectory.clock import SYSTEM_CLOCK, system_entropy
from trajectory.ids import new_id

PROTOCOLS = ("mcp", "http")


@dataclass(frozen=True)
class LiveSnapshot:
    """`allowed` are patterns of tool names, as in a shell; `protocol` is one of PROTOCOLS."""

    house: House
    upstream: str
    protocol: str
    allowed: tuple[str, ...]
    task: str
    kinds: ToolKinds = field(default_factory=ToolKinds)

    @property
    def digest(self) -> str:
        """Of what is declared: the state behind it nobody can pin."""
        return digest_of(["live", self.upstream, self.protocol, sorted(self.allowed)])

    async def start(self, seed: int) -> World:
        session = new_id(SYSTEM_CLOCK.now_s(), system_entropy(7))
        people = Always(DECIDED_BEFORE)
        self.house.open_session(session, None, task=self.task, seed=seed, budget_spent=lambda *_: None, approver=people)
        try:
            tools = _Allowed(await self._tools(session), self.allowed, self.house, session)
        except BaseException:
            await self.house.close_session(session)
            raise
        return AskedWorld(tools, "live", self.kinds, f"upstream {self.upstream}")

    async def _tools(self, session: str) -> Tools:
        url = f"{self.house.data_url}/s/{session}/{self.upstream}"
        access = self.house.access
        if self.protocol == "http":
            return HttpTools(url, headers=access)
        return await McpTools(HttpLink(url, headers=access)).open()


class _Allowed:
    """Closes the session together with the tools."""

    def __init__(self, tools: Tools, allowed: tuple[str, ...], house: House, session: str) -> None:
        self._tools, self._allowed, self._house, self._session = tools, allowed, house, session

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        if not any(fnmatchcase(tool, pattern) for pattern in self._allowed):
            raise UnknownToolError(f"only {', '.join(self._allowed)} may be called live")
        return await self._tools.call(tool, arguments)

    async def close(self) -> tuple[str, ...]:
        notes = await self._tools.close()
        await self._house.close_session(self._session)
        return notes
