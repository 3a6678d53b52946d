"""What a client speaks, by its first bytes: TLS, HTTP/1, or something that is not let through."""

from __future__ import annotations

from typing import Literal

Protocol = Literal["tls", "http", "undecided", "other"]

# Token characters of RFC 9110 5.6.2; the longest registered method has 17 of them.
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LONGEST_METHOD = 32


def first_protocol(data: bytes) -> Protocol:
    """`undecided` needs more bytes, at most 33 in all.

    HTTP/2 with prior knowledge (its preface looks like a request of the method PRI) is `other`.
    """
    if not data:
        return "undecided"
    if data[0] == 0x16:  # TLS record of type handshake, RFC 8446 5.1; then legacy_record_version 3.x
        return "undecided" if len(data) < 2 else "tls" if data[1] == 0x03 else "other"
    # RFC 9112 2.2: a server should ignore an empty line before the request line
    method, space, _ = data.lstrip(b"\r\n").partition(b" ")
    if len(method) > _LONGEST_METHOD or not _TOKEN.issuperset(method) or (space and method in (b"", b"PRI")):
        return "other"
    return "http" if space else "undecided"
