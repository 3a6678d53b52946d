"""The compressed bodies of one exchange: opened to be judged, and sent on as they came where nothing was changed."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.arrivals import Headers, ReplyBegan, RequestArrived
from proxy.encoding import Decoder, codings_of, decoded, is_coded, is_utf8, of_coding, without_coding
from trajectory.errors import FormatError


@dataclass(slots=True, eq=False)
class Coding:
    """`is_judged`: what cannot be opened is refused. Elsewhere it passes as it is, and replies always do."""

    max_bytes: int
    is_judged: bool
    _request: RequestArrived | None = None
    _plain: bytes = b""
    _reply: ReplyBegan | None = None
    _codings: tuple[str, ...] = ()
    _decoder: Decoder | None = None

    def opened(self, request: RequestArrived) -> RequestArrived:
        """The request as it would be uncompressed. Raises FormatError, TooLargeError."""
        if self.is_judged and not is_utf8(request.headers):
            raise FormatError("its type says that it is not UTF-8")
        if not is_coded(request.headers):
            return request
        try:
            plain = decoded(request.body, codings_of(request.headers), self.max_bytes)
        except FormatError:
            if self.is_judged:
                raise
            return request
        self._request, self._plain = request, plain
        return RequestArrived(without_coding(request.headers), plain, request.at_s)

    def sealed(self, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        """What is sent where the request became `body`: the bytes that came, or the changed ones uncompressed."""
        if self._request is None:
            return headers, body
        return (headers, self._request.body) if body == self._plain else (without_coding(headers), body)

    def began(self, head: ReplyBegan) -> ReplyBegan:
        """The head of the reply uncompressed. Raises FormatError."""
        if not (self.is_judged and is_coded(head.headers)):
            return head
        self._codings = codings_of(head.headers)
        self._reply = head
        return ReplyBegan(head.status, without_coding(head.headers), head.at_s)

    def whole(self, body: bytes) -> bytes:
        """A whole reply uncompressed. Raises FormatError, TooLargeError."""
        return decoded(body, self._codings, self.max_bytes) if self._reply is not None else body

    def unchanged(self, headers: Headers, body: bytes, plain: bytes) -> tuple[Headers, bytes]:
        """A whole reply that nothing has changed, as it came."""
        return (headers, plain) if self._reply is None else ((*headers, *of_coding(self._reply.headers)), body)

    def part(self, data: bytes) -> bytes:
        """What a part of a reply determines, uncompressed: possibly nothing yet. Raises FormatError."""
        if self._reply is None:
            return data
        if self._decoder is None:
            self._decoder = Decoder(self._codings, self.max_bytes)
        return self._decoder.feed(data)

    def ended(self) -> None:
        """Raises FormatError where the reply ends before its compressed form does."""
        if self._decoder is not None:
            self._decoder.end()

    def extra(self) -> dict[str, str]:
        """What the record says of bodies that it holds uncompressed."""
        if self._request is None and not self._codings:
            return {}
        request = ", ".join(codings_of(self._request.headers)) if self._request is not None else ""
        found = {"request_coding": request, "reply_coding": ", ".join(self._codings)}
        return {key: value for key, value in found.items() if value}
