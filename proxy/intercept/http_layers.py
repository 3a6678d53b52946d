"""HTTP/1 as the door wants it: mitmproxy's own layers, with a bound on heads and JSON where they would send HTML."""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._events import HttpEvent, RequestData, ResponseProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Server

from proxy.intercept.hop import DoorRefusal

MAX_HEAD_BYTES = 128 * 1024
"""Of a request line and its header fields; longer heads are answered 431."""

ORIGIN_FORM = "ironcage.origin_form"
"""Key in a flow's metadata: the request line named no host."""


class DoorHttpLayer(HttpLayer):
    def __init__(self, context: Context, mode: HTTPMode) -> None:
        super().__init__(context, mode)
        self.connections[context.client] = DoorHttpServer(context.fork())

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        stream = self.streams[stream_id] = DoorHttpStream(self.context.fork(), stream_id)
        yield from self.event_to_child(stream, events.Start())


class DoorHttpServer(Http1Server):
    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        yield from super().read_headers(event)
        if self.state == self.read_headers and len(self.buf) > MAX_HEAD_BYTES:
            yield from self._end(DoorRefusal(431, "route_refused", f"a request head is over {MAX_HEAD_BYTES} bytes"))
            self.state = self.done

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        status = event.code.http_status_code() if isinstance(event, ResponseProtocolError) else None
        if status is None or self.response or not self.conn.state & ConnectionState.CAN_WRITE:
            yield from super().send(event)
            return
        assert isinstance(event, ResponseProtocolError)
        yield from self._end(DoorRefusal(status, "route_refused", event.message))

    def _end(self, refusal: DoorRefusal) -> layer.CommandGenerator[None]:
        response = http.Response.make(refusal.status, refusal.body, http.Headers(refusal.fields))
        response.headers["connection"] = "close"
        yield commands.SendData(self.conn, http1.assemble_response(response))  # type: ignore[no-untyped-call]
        yield commands.CloseConnection(self.conn)


class DoorHttpStream(HttpStream):
    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        # The first look at a request: later the core fills in the host from the Host header.
        if request and self.mode is HTTPMode.regular and not self.flow.request.host:
            self.flow.metadata[ORIGIN_FORM] = True
        return (yield from super().check_invalid(request))

    def state_consume_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self.flow.response and isinstance(event, RequestData):
            return  # answered already: nobody reads this body
        yield from super().state_consume_request_body(event)
