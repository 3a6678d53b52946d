"""A real tool, started for each run: its state begins as the command makes it, and dies with the run.

mcp:COMMAND        an MCP server that speaks on its standard input and output
mcp+http:COMMAND   one over streamable HTTP; the first line of its output names its URL
http:COMMAND       a service with one path for each tool; the first line of its output names its port or URL
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import cached_property

from replay.fingerprint import digest_of
from replay.world.asked import AskedWorld, Tools
from replay.world.contract import World
from replay.world.http_tools import HttpTools
from replay.world.kinds import ToolKinds
from replay.world.mcp_links import HttpLink, PipeLink
from replay.world.mcp_tools import McpTools
from replay.world.server_process import ServerProcess
from replay.world.simulator import content_digest
from trajectory.errors import CageError, OperatorError

FRESH = ("mcp:", "mcp+http:", "http:")
_START_TIMEOUT_S = 60.0
_URL = re.compile(r"https?://\S+")
_PORT = re.compile(r"\b(\d{2,5})\D*$")


@dataclass(frozen=True)
class FreshSnapshot:
    """`way` is one of FRESH without its colon."""

    way: str
    command: tuple[str, ...]
    kinds: ToolKinds = field(default_factory=ToolKinds)

    @cached_property
    def digest(self) -> str:
        """Of the command, and of the files that it names."""
        return digest_of([self.way, [content_digest(word) for word in self.command]])

    async def start(self, seed: int) -> World:
        process = await ServerProcess.start(self.command, seed)
        try:
            return AskedWorld(await self._tools(process), "live", self.kinds, "the tool server")
        except BaseException:
            await process.end()
            raise

    async def _tools(self, process: ServerProcess) -> Tools:
        if self.way == "mcp":
            return await McpTools(PipeLink(process)).open()
        url = _place((await process.line(_START_TIMEOUT_S)).decode("utf-8", "replace"))
        process.drain()
        if self.way == "mcp+http":
            return await McpTools(HttpLink(url, process=process)).open()
        return HttpTools(url, process=process)


def fresh_snapshot(name: str, kinds: ToolKinds) -> FreshSnapshot:
    """From WAY:COMMAND, the command quoted as for a shell. OperatorError if there is none."""
    way, _, command = name.partition(":")
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise OperatorError(f"world {name!r}: {error}", hint="quote the command as for a shell") from None
    if not words or words[0].startswith("//"):
        raise OperatorError(f"world {name!r} names no command", hint=f"for example {way}:'python server.py'")
    return FreshSnapshot(way, words, kinds)


def _place(line: str) -> str:
    if (url := _URL.search(line)) is not None:
        return url[0].rstrip("/")
    if (port := _PORT.search(line)) is not None:
        return f"http://127.0.0.1:{port[1]}"
    raise CageError(f"the tool server's first line names no port: {line.strip()[:200]!r}")
