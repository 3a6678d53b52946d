"""One HTTP/1.1 connection to an upstream: an asyncio protocol around httptools' parser (llhttp)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Literal, cast

import httptools

from trajectory.errors import UpstreamError

FailureKind = Literal["unreachable", "timeout", "reset"]
_MAX_HEAD_BYTES = 256 * 1024
_PAUSE_BYTES = 512 * 1024


class UpstreamBroke(UpstreamError):  # noqa: N818 - it tells what happened, as all errors here do
    """`kind` is where it broke: no connection, silence, or a cut."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


class Connection(asyncio.Protocol):
    """Asks one request at a time. `registry` holds all connections that are open, for an orderly end."""

    def __init__(self, registry: set[Connection]) -> None:
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: UpstreamBroke | None = None
        self._busy = False
        self._begin(idle_s=0.0, bodiless=False)

    def _begin(self, *, idle_s: float, bodiless: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._idle_s = idle_s
        self._bodiless = bodiless
        self._active_s = 0.0
        self._head_bytes = 0
        self._has_head = False
        self._complete = False
        self._ends_with_connection = False
        self._may_stay_open = False
        self._pieces: list[bytes] = []
        self._parts: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self.status = 0
        self.length: int | None = None
        self.headers: list[tuple[str, str]] = []

    @property
    def reusable(self) -> bool:
        """The last reply was read whole, and both sides may ask again."""
        return self._error is None and not self._busy and self._transport is not None

    async def ask(self, head: bytes, body: bytes, *, idle_s: float, bodiless: bool) -> None:
        """Return once the head of the reply is here. Raises UpstreamBroke."""
        self._begin(idle_s=idle_s, bodiless=bodiless)
        self._busy = True
        transport = self._transport
        if transport is None:
            raise self._error or UpstreamBroke("reset", "the connection closed before the request was sent")
        transport.write(head + body if len(body) < 64 * 1024 else head)
        if len(body) >= 64 * 1024:
            transport.write(body)
        self._active_s = self._loop.time()
        self._watch(idle_s)
        while not self._has_head:
            await self._news()

    async def next_part(self) -> bytes:
        """Body bytes of one read from the socket, joined; empty at the end. Raises UpstreamBroke."""
        while not self._parts:
            if self._complete:
                self._busy = not self._may_stay_open
                return b""
            await self._news()
        part = self._parts.popleft()
        self._waiting_bytes -= len(part)
        if self._paused and self._waiting_bytes < _PAUSE_BYTES // 2 and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return part

    def close(self) -> asyncio.Future[None]:
        """Close now; the future is done when the socket is."""
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()
        return self._closed

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: UpstreamBroke) -> None:
        if self._error is None:
            self._error = error
        self.close()
        self._tell()

    def _watch(self, idle_s: float) -> None:
        """Have the clock looked at in `idle_s` seconds or before: the timer of an exchange before may do."""
        if self._timer is not None and self._timer.when() > self._active_s + idle_s:
            self._stop_timer()
        if self._timer is None:
            self._timer = self._loop.call_later(idle_s, self._look_at_clock)

    def _look_at_clock(self) -> None:
        """One timer, however often something comes: it looks when the last sign of life was."""
        self._timer = None
        left_s = self._active_s + self._idle_s - self._loop.time()
        if self._complete or not self._busy:
            return
        if self._paused:  # it is the client that does not read
            left_s = self._idle_s
        if left_s <= 0:
            self._fail(UpstreamBroke("timeout", f"it was silent for {self._idle_s:g} s"))
        else:
            self._timer = self._loop.call_later(left_s, self._look_at_clock)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._registry.add(self)

    def data_received(self, data: bytes) -> None:
        self._active_s = self._loop.time()
        if not self._busy or (self._complete and self._may_stay_open):
            self._fail(UpstreamBroke("reset", "it sent more than one reply"))
            return
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as e:
            self._fail(UpstreamBroke("reset", f"its reply is not HTTP/1.1: {e}"))
            return
        if self._pieces:
            part = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            self._parts.append(part)
            self._waiting_bytes += len(part)
            if self._waiting_bytes > _PAUSE_BYTES and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
        elif not self._has_head and self._head_bytes > _MAX_HEAD_BYTES:
            self._fail(UpstreamBroke("reset", f"the head of its reply is longer than {_MAX_HEAD_BYTES} bytes"))
            return
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._registry.discard(self)
        self._stop_timer()
        if self._complete or self._error is not None:
            pass  # we hung up ourselves: a time-out must not pass for the end of a reply
        elif self._has_head and self._ends_with_connection and exc is None:
            self._complete = True
            self._may_stay_open = False
        else:
            self._error = UpstreamBroke("reset", "the connection closed before the reply was whole")
        if not self._closed.done():
            self._closed.set_result(None)
        self._tell()

    # --- httptools ---

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            return  # a trailer: it says nothing to this hop
        self.headers.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status == 101:
            self._fail(UpstreamBroke("reset", "it switched to another protocol"))
            return
        if 100 <= self.status < 200:
            self.headers.clear()  # an interim answer: the real head follows
            return
        lengths: set[str] = set()
        chunked = False
        for name, value in self.headers:
            lower = name.lower()
            if lower == "content-length":
                lengths.add(value.strip())
            elif lower == "transfer-encoding":
                chunked = True
        self.length = int(lengths.pop()) if len(lengths) == 1 and not chunked else None
        empty = self._bodiless or self.status in (204, 304)
        self._ends_with_connection = not empty and not chunked and self.length is None
        self._may_stay_open = self._parser.should_keep_alive() and not self._bodiless
        self._has_head = True
        if self._bodiless:
            self._complete = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._complete = True
            self._active_s = self._loop.time()
