"""The client side: one request to an upstream, its reply part by part. The only file that knows aiohttp's client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.arrivals import Headers
from trajectory.errors import OperatorError, UpstreamError

FailureKind = Literal["unreachable", "timeout", "reset"]


class UpstreamBroke(UpstreamError):  # noqa: N818 - it tells what happened, as all errors here do
    """`kind` is where it broke: no connection, silence, or a cut."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


@dataclass(frozen=True, slots=True)
class Patience:
    connect_s: float = 10.0
    idle_s: float = 600.0


class UpstreamReply:
    """A reply whose head has come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.length = response.content_length
        self.headers: Headers = tuple(
            (k.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for k, v in response.raw_headers
        )

    async def parts(self) -> AsyncIterator[bytes]:
        """Body bytes as they arrive, neither joined nor cut. Raises UpstreamBroke."""
        content = self._response.content
        try:
            while data := await content.readany():
                yield data
        except (TimeoutError, aiohttp.ClientError, OSError) as e:
            raise _broke(e) from None

    def close(self) -> None:
        """Close the connection unless the reply was read to its end."""
        self._response.release() if self._response.content.at_eof() else self._response.close()


class UpstreamClient:
    """One pool of connections for all upstreams. It never retries, redirects, decompresses or keeps cookies."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def __aenter__(self) -> UpstreamClient:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            requote_redirect_url=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, method: str, url: str, headers: Headers, body: bytes, *, patience: Patience, ca_file: str | None = None
    ) -> UpstreamReply:
        """Send a request and return once the reply's head is here. Raises UpstreamBroke."""
        if self._session is None:
            raise RuntimeError("the upstream client is not open")
        try:
            response = await self._session.request(
                method,
                URL(url, encoded=True),
                data=body or None,
                headers=CIMultiDict(headers),
                allow_redirects=False,
                ssl=self._context(ca_file) if ca_file else True,
                timeout=_timeout(patience),
            )
        except (TimeoutError, aiohttp.ClientError, OSError) as e:
            raise _broke(e) from None
        return UpstreamReply(response)

    def _context(self, ca_file: str) -> ssl.SSLContext:
        context = self._contexts.get(ca_file)
        if context is None:
            context = self._contexts[ca_file] = ca_context(ca_file)
        return context


def ca_context(ca_file: str) -> ssl.SSLContext:
    """Raises OperatorError if the file cannot be used."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as e:
        raise OperatorError(f"ca_file {ca_file}: {e}", hint="name a readable file of PEM certificates") from None


_timeouts: dict[Patience, aiohttp.ClientTimeout] = {}


def _timeout(patience: Patience) -> aiohttp.ClientTimeout:
    known = _timeouts.get(patience)
    if known is None:
        known = _timeouts[patience] = aiohttp.ClientTimeout(
            total=None, sock_connect=patience.connect_s, sock_read=patience.idle_s
        )
    return known


def _broke(error: BaseException) -> UpstreamBroke:
    if isinstance(error, asyncio.TimeoutError):
        return UpstreamBroke("timeout", "it was silent for longer than its time-out")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return UpstreamBroke("unreachable", "its certificate is not trusted (see the upstream's ca_file)")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamBroke("unreachable", f"no connection: {error.os_error.strerror or error.os_error}")
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
        return UpstreamBroke("reset", "the connection closed before the reply was whole")
    return UpstreamBroke("reset", f"its reply broke HTTP: {type(error).__name__}")
