"""A conversation across two views: a client, what becomes of its requests and replies, and a strict upstream."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from proxy.two_views import TwoViews
from proxy.wire.format import Wire
from proxy.wire.layout import Layout, read_layout
from tests.support.judging import Judge, streamed
from tests.support.strict import Item, Piece, Strict


class Talk:
    """`history` is the client's, `sent` are the bodies that reached the upstream."""

    def __init__(self, wire: Wire, upstream: Strict, refused: Collection[str] = ("bad",), path: str = "") -> None:
        self.wire = wire
        self.upstream = upstream
        self.history: list[Item] = []
        self.sent: list[bytes] = []
        self.views = TwoViews()
        self.refused = refused
        self._layout: Layout | None = None
        self._path = path or upstream.path

    def turn(self, *pieces: Piece, stream: bool = False, **more: Any) -> list[Item]:
        """One request of the client and its reply; what the client keeps of it."""
        body = self.upstream.request(self.history, streamed=stream, **more)
        request = self.pass_on(body)
        problem = self.upstream.problem(request)
        assert problem is None, problem
        said = self.upstream.said(request, list(pieces))
        got = self.upstream.got(self.answered(said, stream=stream), streamed=stream)
        self.history += got
        return got

    def user(self, text: str) -> None:
        self.history.append(self.upstream.user(text))

    def results(self, got: list[Item]) -> None:
        self.history += self.upstream.results(self.upstream.calls(got))

    def lay_out(self, body: bytes) -> Layout:
        self._layout = read_layout(body, self.wire.list_key, self._layout)
        self.wire.read_request(self._layout, self._path)
        self.views.put_back(self.wire, self._layout)
        return self._layout

    def pass_on(self, body: bytes) -> dict[str, Any]:
        """What the upstream is sent for `body`."""
        layout = self.lay_out(body)
        self.sent.append(b"".join(span.data for span in layout.assembled()))
        request: dict[str, Any] = json.loads(self.sent[-1])
        return request

    def answered(self, said: list[Item], *, stream: bool) -> bytes:
        """What the client is sent for what the upstream says."""
        assert self._layout is not None
        judge = Judge(self.refused)
        if stream:
            reader = self.wire.stream(judge)
            client = streamed(reader, [self.upstream.stream(said)])
            reply, turn = reader.reply(), reader.turn() if reader.refused else ()
        else:
            read = self.wire.read_reply(self.upstream.whole(said), judge)
            client, reply, turn = read.client, read.reply, read.turn
        self.views.answered(self.wire, self._layout, reply.id, turn)
        return client
