"""The little of MCP that a replay needs of a tool server: open a session, list its tools, call one.

Requests of the server's own (sampling, roots, elicitation) are declined; there is no user here who could answer.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from replay.world.contract import ToolError, UnknownToolError
from trajectory.errors import CageError

PROTOCOL = "2025-06-18"
_NO_METHOD = -32601

Message = dict[str, Any]


class Link(Protocol):
    """A way to one server. CageError where it breaks."""

    async def ask(self, message: Message) -> Message:
        """The reply to a request, by its id."""

    async def tell(self, message: Message) -> None:
        """A notification: nothing comes back."""

    async def close(self) -> tuple[str, ...]: ...


class McpTools:
    """The tools of one server, in one session with it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._names: tuple[str, ...] = ()
        self._asked = 0

    async def open(self) -> McpTools:
        client = {"name": "ironcage-replay", "version": "1"}
        await self._ask("initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client})
        await self._link.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
        names: list[str] = []
        cursor: str | None = None
        while True:
            listed = await self._ask("tools/list", {"cursor": cursor} if cursor else {})
            names += [str(tool.get("name")) for tool in listed.get("tools", []) if isinstance(tool, dict)]
            cursor = listed.get("nextCursor")
            if not cursor:
                break
        self._names = tuple(names)
        return self

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        if tool not in self._names:
            raise UnknownToolError(f"it has {', '.join(self._names) or 'none'}")
        result = await self._ask("tools/call", {"name": tool, "arguments": arguments})
        text = _text(result)
        if result.get("isError"):
            raise ToolError(text)
        return text

    async def close(self) -> tuple[str, ...]:
        return await self._link.close()

    async def _ask(self, method: str, params: Message) -> Message:
        """ToolError where the server answers with an error: a model would be told it."""
        self._asked += 1
        reply = await self._link.ask({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        error = reply.get("error")
        if isinstance(error, dict):
            said = str(error.get("message") or error)
            if method != "tools/call":
                raise CageError(f"the tool server refused {method}: {said}")
            raise ToolError(said)
        result = reply.get("result")
        return result if isinstance(result, dict) else {}


def _text(result: Message) -> str:
    """Of a tool result: its texts, and what is no text as JSON."""
    blocks = [block for block in result.get("content") or () if isinstance(block, dict)]
    said = [str(block["text"]) if block.get("type") == "text" else json.dumps(block) for block in blocks]
    if not said and "structuredContent" in result:
        return json.dumps(result["structuredContent"])
    return "\n".join(said)


def declined(message: Message) -> Message | None:
    """What is answered to a request of the server's own; None for anything that wants no answer."""
    if "method" not in message or "id" not in message:
        return None
    if message["method"] == "ping":
        return {"jsonrpc": "2.0", "id": message["id"], "result": {}}
    error = {"code": _NO_METHOD, "message": "there is no client for this in a replay"}
    return {"jsonrpc": "2.0", "id": message["id"], "error": error}
