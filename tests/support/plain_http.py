"""One HTTP request on a connection of its own, for commands that start hundreds of times in a test.

It imports nothing but `socket`: loading http.client takes three times as long as starting Python does.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 30.0


def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    """Status and whole body. `url` is `http://HOST:PORT/...`, quoted. Raises OSError, also for a reply that was cut."""
    place, _, path = url.removeprefix("http://").partition("/")
    host, _, port = place.rpartition(":")
    fields = {"host": place, "connection": "close", **headers}
    if body is not None:
        fields["content-length"] = str(len(body))
    lines = [f"{method} /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        connection.sendall("\r\n".join(lines).encode() + (body or b""))
        with connection.makefile("rb") as reply:
            return parsed(reply.read())


def parsed(reply: bytes) -> tuple[int, bytes]:
    """Status and body of everything that came until the server closed."""
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    if fields.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    elif len(body) != int(fields.get("content-length", len(body))):
        raise OSError(f"{len(body)} bytes came instead of {fields['content-length']}")
    return int(first.split()[1]), body


def unchunked(body: bytes) -> bytes:
    """The chunks of a body that ends with an empty one, without trailers."""
    chunks = []
    while True:
        size, found, rest = body.partition(b"\r\n")
        if not found:
            raise OSError("the reply ends before its last chunk")
        length = int(size, 16)
        if length == 0:
            return b"".join(chunks)
        chunks.append(rest[:length])
        body = rest[length + 2 :]
