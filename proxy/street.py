"""What lies behind the gateway. Live it is the network; a replay is the same house with another street."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from proxy.arrivals import Headers
from proxy.effects import Forward


class Answer(Protocol):
    """A reply whose head has come. `length` is its Content-Length, None where it gave none."""

    status: int
    headers: Headers
    length: int | None

    async def next_part(self) -> bytes:
        """The next body bytes; empty at the end. Raises UpstreamBroke."""

    def close(self) -> None:
        """Also before the end, which cancels the request."""


SendOn = Callable[[Forward], Awaitable[Answer]]
"""Sends a request to its real upstream, with the key and the time limits that are configured for it."""


class Street(Protocol):
    """Answers the requests of one session that go to an upstream. What comes to it has been judged and masked, and
    what it gives back is judged, restored and recorded, like those of any upstream.
    """

    async def ask(self, request: Forward, send_on: SendOn) -> Answer:
        """A model's. Raises UpstreamBroke where there is no answer."""

    async def ask_tool(self, request: Forward, send_on: SendOn) -> Answer:
        """A tool's, or a message to an MCP server. It goes to the tool, where a street does not say otherwise."""
        return await send_on(request)
