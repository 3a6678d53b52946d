"""The client side: one request to an upstream, its reply part by part, on pooled HTTP/1.1 connections.

Decision 0002 tells why this is not aiohttp's client: half the proxy's cost at small bodies, and parts of a reply
joined or cut anew. What it leaves out on purpose: retries, redirects, cookies, decompression, proxies of its own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from msgspec import Struct

from policies.hosts import is_near
from proxy.arrivals import Headers
from proxy.connection import Connection, UpstreamBroke
from trajectory.errors import OperatorError

_KEPT_OPEN_S = 30.0
_FORBIDDEN = str.maketrans("", "", "\r\n\0")


class Patience(Struct, frozen=True):
    """How long to wait for a connection, and for each sign of life after that, in seconds."""

    connect_s: float = 10.0
    idle_s: float = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class _Origin:
    """The client keeps one for each place, so they are compared by identity."""

    scheme: str
    host: str
    port: int
    ca_file: str | None
    host_header: str
    is_named: bool

    @classmethod
    def of(cls, base: str, ca_file: str | None, is_named: bool) -> _Origin:
        parts = urlsplit(base)
        host = parts.hostname or ""
        usual = 443 if parts.scheme == "https" else 80
        port = parts.port or usual
        shown = f"[{host}]" if ":" in host else host
        header = shown if port == usual else f"{shown}:{port}"
        return cls(parts.scheme, host, port, ca_file, header, is_named)


class UpstreamReply:
    """A reply whose head has come. `length` is its Content-Length, None where it gave none."""

    def __init__(self, pool: UpstreamClient, origin: _Origin, connection: Connection) -> None:
        self._pool = pool
        self._origin = origin
        self._connection = connection
        self.status = connection.status
        self.headers: Headers = tuple(connection.headers)
        self.length = connection.length

    async def next_part(self) -> bytes:
        """The next body bytes, as they came off the wire; empty at the end. Raises UpstreamBroke."""
        return await self._connection.next_part()

    async def parts(self) -> AsyncIterator[bytes]:
        while part := await self._connection.next_part():
            yield part

    def close(self) -> None:
        """Give the connection back if the reply was read to its end; else close it, which cancels the request."""
        self._pool.give_back(self._origin, self._connection)


class UpstreamClient:
    """One pool of connections for all upstreams."""

    def __init__(self) -> None:
        self._idle: dict[_Origin, list[tuple[float, Connection]]] = {}
        self._origins: dict[tuple[str, str | None, bool], _Origin] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._open: set[Connection] = set()

    async def __aenter__(self) -> UpstreamClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing = [connection.close() for connection in tuple(self._open)]
        self._idle.clear()
        if closing:
            await asyncio.wait(closing, timeout=2)

    async def ask(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        *,
        patience: Patience,
        ca_file: str | None = None,
        is_named: bool = True,
    ) -> UpstreamReply:
        """Send a request and return once the reply's head is here. Raises UpstreamBroke.

        `url` is scheme://host:port and the raw target. A pooled connection that the upstream closed in the
        meantime breaks the request like any other: only the client may decide to send it again. Where the place is
        not one that the configuration names, a name must not lead to this machine or its link (policies.hosts.is_near).
        """
        base, target = _split(url)
        origin = self._origin(base, ca_file, is_named)
        connection = self._take(origin) or await self._connect(origin, patience)
        head = _head(method, target, origin.host_header, headers, len(body))
        try:
            await connection.ask(head, body, idle_s=patience.idle_s, bodiless=method == "HEAD")
        except BaseException:
            connection.close()
            raise
        return UpstreamReply(self, origin, connection)

    def give_back(self, origin: _Origin, connection: Connection) -> None:
        if connection.reusable:
            self._idle.setdefault(origin, []).append((asyncio.get_running_loop().time(), connection))
        else:
            connection.close()

    def _take(self, origin: _Origin) -> Connection | None:
        idle = self._idle.get(origin)
        oldest_s = asyncio.get_running_loop().time() - _KEPT_OPEN_S
        while idle:
            since_s, connection = idle.pop()
            if connection.reusable and since_s >= oldest_s:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: _Origin, patience: Patience) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._context(origin.ca_file) if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(patience.connect_s):
                transport, connection = await loop.create_connection(
                    lambda: Connection(self._open),
                    origin.host,
                    origin.port,
                    ssl=context,
                    server_hostname=origin.host if context is not None else None,
                )
        except TimeoutError:
            raise UpstreamBroke("timeout", f"no connection within {patience.connect_s:g} s") from None
        except ssl.SSLCertVerificationError as e:
            raise UpstreamBroke(
                "unreachable", f"its certificate is not trusted ({e.verify_message}); see the upstream's ca_file"
            ) from None
        except (OSError, ssl.SSLError) as e:
            raise UpstreamBroke("unreachable", f"no connection: {e.strerror or e}") from None
        if not origin.is_named and not is_near(origin.host) and is_near(transport.get_extra_info("peername")[0]):
            connection.close()  # a host that is near by its own name was judged as what it is; this one was not
            raise UpstreamBroke("unreachable", "its name leads to this machine or its link, where only named hosts may")
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _origin(self, base: str, ca_file: str | None, is_named: bool) -> _Origin:
        known = self._origins.get((base, ca_file, is_named))
        if known is None:
            known = self._origins[base, ca_file, is_named] = _Origin.of(base, ca_file, is_named)
        return known

    def _context(self, ca_file: str | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_file or "")
        if context is None:
            context = self._contexts[ca_file or ""] = ca_context(ca_file)
        return context


def ca_context(ca_file: str | None) -> ssl.SSLContext:
    """Trust in `ca_file`, or in the system's certificates. Raises OperatorError if the file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as e:
        raise OperatorError(f"ca_file {ca_file}: {e}", hint="name a readable file of PEM certificates") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _split(url: str) -> tuple[str, str]:
    slash = url.find("/", url.index("://") + 3)
    return (url, "/") if slash < 0 else (url[:slash], url[slash:])


def _head(method: str, target: str, host: str, headers: Headers, length: int) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    for name, value in headers:
        # a line end inside a value would begin a header of the client's choosing
        lines.append(f"{name}: {value if value.isprintable() else value.translate(_FORBIDDEN)}")
    if length or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


__all__ = ["Patience", "UpstreamBroke", "UpstreamClient", "UpstreamReply", "ca_context"]
