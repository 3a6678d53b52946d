"""Replies of an MCP server: one JSON message, or server-sent events with a message each, judged one by one.

1. A message that no rule concerns goes on byte for byte, in the part it came in.
2. Tools beyond the allowlist are taken out of every list (see proxy.wire.mcp).
3. The event that answers the request is the last part, with all after it: it waits until the step is recorded.
   Streams that answer no request (GET, or a notification's) have none and end when the server ends them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.wire.format import StreamStep
from proxy.wire.mcp import Message, read_message, tool_lists, without_tools
from proxy.wire.sse import Framer, data_of, with_data

Offered = Callable[[tuple[str, ...]], frozenset[str]]
"""Of the tools with these names, those that may not be offered."""


class McpReply:
    """Reads one reply. `request` is None for a stream that the client opened with GET; where that `resumes` one that
    broke off, the first answer that it brings is the awaited one.
    """

    def __init__(self, request: Message | None, offered: Offered, *, resumes: bool = False) -> None:
        self._request = request
        self._resumes = resumes
        self._offered = offered
        self._framer = Framer()
        self.answer: Message | None = None
        """The response to the request, as the server gave it."""
        self.tools: list[dict[str, Any]] = []
        """Definitions in the lists of the server's own tools, before any was taken out."""
        self.edited = False
        self.latest_event = ""
        """The last event id: a client resumes a broken stream from there."""

    @property
    def is_finished(self) -> bool:
        return self.answer is not None or self._request is None or not self._request.is_request

    def whole(self, body: bytes) -> bytes:
        """Raises FormatError. A body without a message (the answer to a notification) is one that no client reads."""
        return self._judged(body) if body.strip() else body

    def feed(self, part: bytes) -> StreamStep:
        """Raises FormatError when an event cannot be understood; nothing unjudged has been let out then."""
        send: list[bytes] = []
        last: list[bytes] = []
        for frame in self._framer.feed(part):
            out = self._frame(frame)
            (last if self.answer is not None else send).append(out)
        return StreamStep(b"".join(send), b"".join(last))

    def end(self) -> StreamStep:
        rest = self._framer.rest()
        # an event without its blank line: judged like any other, as lenient clients read it
        return StreamStep(last=self._frame(rest) if rest.strip() else rest)

    def _frame(self, frame: bytes) -> bytes:
        self._note_event(frame)
        data = data_of(frame)
        if not data.strip():
            return frame
        judged = self._judged(data)
        return frame if judged is data else with_data(frame, _one_line(judged))

    def _judged(self, raw: bytes) -> bytes:
        message = read_message(raw)
        if self.answer is None and self._awaits(message):
            self.answer = message
        lists = tool_lists(message)
        if not lists:
            return raw
        refused = self._offered(tuple(name for listed in lists for name in listed.names))
        own = message.result.get("tools")
        self.tools += [tool for tool in own if isinstance(tool, dict)] if isinstance(own, list) else []
        if not refused:
            return raw
        self.edited = True
        return without_tools(message, refused)

    def _awaits(self, message: Message) -> bool:
        if self._request is None:
            return self._resumes and message.is_response
        return message.answers(self._request)

    def _note_event(self, frame: bytes) -> None:
        if b"id" in frame:
            for line in frame.splitlines():
                if line.startswith(b"id:"):
                    self.latest_event = line[3:].strip().decode("utf-8", "replace")


def _one_line(data: bytes) -> bytes:
    """JSON whose line ends, which can only stand between its values, are spaces: an event's data is one line."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ")
