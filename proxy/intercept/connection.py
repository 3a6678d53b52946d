"""One client connection at the door, on mitmproxy's protocol core.

1. Every hook of the core is answered here, and an exception in an answer refuses: nothing passes undecided.
2. The only address that is ever connected to is the gateway's.
3. A protocol error inside the core closes the client's connection; left alone it would hang.
4. Bodies stream both ways, with the core's back-pressure; the body of a refused request is dropped as it comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

from mitmproxy import flow as flows
from mitmproxy import http, options
from mitmproxy.proxy import commands, events, layer, layers, mode_specs, server
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.tls import TlsData

from proxy.intercept.certificates import Authority
from proxy.intercept.credentials import ProxyCredentials
from proxy.intercept.hop import DOOR_FAILED, Arrival, DoorRefusal, Fields, Hop, Target, admit, hand_over
from proxy.intercept.http_layers import ORIGIN_FORM, DoorHttpLayer
from proxy.intercept.protocols import first_protocol

logger = logging.getLogger(__name__)

HandOver = Callable[[Arrival, Hop, ProxyCredentials], Fields | DoorRefusal]


class DoorConnection(server.LiveConnectionHandler):
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        hop: Hop,
        authority: Authority,
        hand: HandOver = hand_over,
    ) -> None:
        super().__init__(reader, writer, _OPTIONS, mode_specs.ProxyMode.parse("regular"))
        self._hop = hop
        self._authority = authority
        self._hand_over = hand
        self._tunnel: tuple[str, int] | None = None
        self._credentials = ProxyCredentials()
        self.layer = _Guarded(modes.HttpProxy(self.layer.context))

    def hang_up(self) -> None:
        """Close the client's connection, and with it the one to the gateway."""
        if (io := self.transports.get(self.client)) and io.handler:
            io.handler.cancel("the door closes")

    async def open_connection(self, command: commands.OpenConnection) -> None:
        if command.connection.address != (self._hop.host, self._hop.port):
            logger.error("refused to connect to %s: only the gateway may be", command.connection.address)
            command.connection.error = "not the gateway"
            await self.server_event(events.OpenConnectionCompleted(command, command.connection.error))
            return
        await super().open_connection(command)

    async def handle_hook(self, hook: commands.StartHook) -> None:
        answer, fail = _ANSWERS.get(hook.name, (None, None))
        if answer is None or fail is None:
            return
        (subject,) = hook.args()
        try:
            answer(self, subject)
        except Exception:  # our own bug, or input that nobody thought of: this exchange ends here
            logger.exception("the proxy door failed in %s", hook.name)
            fail(subject)

    def log(
        self,
        message: str,
        level: int = logging.INFO,
        exc_info: Literal[True] | tuple[type[BaseException], BaseException, TracebackType | None] | None = None,
    ) -> None:
        """The core tells of each connection at INFO; only what is wrong is worth a line here."""
        if level >= logging.ERROR:
            logger.log(level, "%s", message, exc_info=exc_info)
        else:
            logger.debug("%s", message)

    def _next_layer(self, undecided: layer.NextLayer) -> None:
        context, data = undecided.context, undecided.data_client()  # type: ignore[no-untyped-call]
        protocol = first_protocol(data)
        if protocol == "undecided":
            return
        has_tls = any(isinstance(known, layers.ClientTLSLayer) for known in context.layers)
        if protocol == "http":
            mode = HTTPMode.regular if self._tunnel is None else HTTPMode.transparent
            undecided.layer = DoorHttpLayer(context, mode)
        elif protocol == "tls" and self._tunnel is not None and not has_tls:
            undecided.layer = layers.ClientTLSLayer(context)
        else:
            logger.info("closed a tunnel to %s that carries neither TLS nor HTTP/1", self._tunnel)
            undecided.layer = _Closed(context)

    def _connect(self, flow: http.HTTPFlow) -> None:
        admitted = admit(flow.request.headers.fields, self._hop)
        if isinstance(admitted, DoorRefusal):
            _refuse(flow, admitted)
            return
        self._tunnel = (flow.request.host, flow.request.port)
        self._credentials = admitted

    def _start_tls(self, data: TlsData) -> None:
        assert self._tunnel is not None
        names = [self._tunnel[0]] if self.client.sni is None else [self.client.sni, self._tunnel[0]]
        data.ssl_conn = self._authority.server_side(names)

    def _request_headers(self, flow: http.HTTPFlow) -> None:
        request = flow.request
        if flow.error is not None:
            return  # the core has found the head malformed and answers by itself
        credentials: ProxyCredentials | DoorRefusal = self._credentials
        if self._tunnel is None:
            credentials = admit(request.headers.fields, self._hop)
        if isinstance(credentials, DoorRefusal):
            _refuse(flow, credentials)
            return
        arrival = Arrival(
            request.data.http_version, self._target(flow), self._tunnel is not None, request.headers.fields
        )
        fields = self._hand_over(arrival, self._hop, credentials)
        if isinstance(fields, DoorRefusal):
            _refuse(flow, fields)
            return
        request.headers = http.Headers(fields)
        # `data`, because the setters of a request rewrite its Host header
        request.data.host, request.data.port = self._hop.host, self._hop.port
        request.data.scheme, request.data.authority = b"http", b""
        request.stream = True

    def _target(self, flow: http.HTTPFlow) -> Target | None:
        if self._tunnel is not None:
            return Target("https" if self.client.tls else "http", *self._tunnel)
        if ORIGIN_FORM in flow.metadata:
            return None
        return Target(flow.request.scheme, flow.request.host, flow.request.port)

    def _response_headers(self, flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        flow.response.stream = True


def _refuse(flow: http.HTTPFlow, refusal: DoorRefusal = DOOR_FAILED) -> None:
    flow.request.stream = False  # the core cannot stream a request that is already answered
    flow.response = http.Response.make(refusal.status, refusal.body, http.Headers(refusal.fields))


def _kill(flow: http.HTTPFlow) -> None:
    flow.error = flows.Error(flows.Error.KILLED_MESSAGE)


def _close(undecided: layer.NextLayer) -> None:
    undecided.layer = _Closed(undecided.context)


def _fail_handshake(data: TlsData) -> None:
    data.ssl_conn = None


# Name of the core's hook, what answers it, and what becomes of its subject if the answer fails.
_ANSWERS: dict[str, tuple[Callable[[DoorConnection, Any], None], Callable[[Any], None]]] = {
    "next_layer": (DoorConnection._next_layer, _close),
    "http_connect": (DoorConnection._connect, _refuse),
    "tls_start_client": (DoorConnection._start_tls, _fail_handshake),
    "requestheaders": (DoorConnection._request_headers, _refuse),
    "responseheaders": (DoorConnection._response_headers, _kill),
}


class _Closed(layer.Layer):
    """Ends the client's connection without a word."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


class _Guarded(layer.Layer):
    """Rule 3: the core raises where HTTP goes beyond what it knows (trailers, say), and then waits forever."""

    def __init__(self, inner: layer.Layer) -> None:
        super().__init__(inner.context)
        self.context.layers.remove(self)
        self._inner = inner

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        try:
            yield from self._inner.handle_event(event)
        except Exception:
            logger.exception("the proxy door cannot go on with a connection")
            yield commands.CloseConnection(self.context.client)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        raise AssertionError("handle_event does not come here")


def _door_options() -> options.Options:
    """The core reads these; those that it leaves to its add-ons are declared here with their defaults."""
    chosen = options.Options()
    chosen.add_option("store_streamed_bodies", bool, False, "")
    chosen.add_option("connection_strategy", str, "lazy", "")
    chosen.add_option("stream_large_bodies", str | None, None, "")
    chosen.add_option("body_size_limit", str | None, None, "")
    chosen.add_option("keep_host_header", bool, False, "")
    chosen.add_option("proxy_debug", bool, False, "")
    chosen.add_option("normalize_outbound_headers", bool, True, "")
    chosen.add_option("validate_inbound_headers", bool, True, "")
    # tcp_timeout is seconds without a byte either way; how long a reply may take is the gateway's to say
    chosen.update(  # type: ignore[no-untyped-call]
        upstream_cert=False,
        http2=False,
        http3=False,
        websocket=False,
        rawtcp=False,
        tcp_timeout=6 * 3600,
    )
    return chosen


_OPTIONS = _door_options()
