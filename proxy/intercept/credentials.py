"""Proxy credentials: `HTTP_PROXY=http://SESSION:TOKEN@host:port` names the session that a client belongs to."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from urllib.parse import unquote

from trajectory.errors import ClientError
from trajectory.ids import checked_name


@dataclass(frozen=True, slots=True)
class ProxyCredentials:
    """What a client's `Proxy-Authorization` says. No session: the gateway finds one by other means."""

    session: str | None = None
    token: str = ""

    def opens(self, access_token: str | None) -> bool:
        """The client may pass: no token is asked for, or it sent the right one (compared in constant time)."""
        return access_token is None or hmac.compare_digest(self.token.encode(), access_token.encode())


def read_proxy_authorization(value: str | None) -> ProxyCredentials:
    """Read a `Proxy-Authorization` header (RFC 7617); None and a missing user name give no session.

    The user name is percent-decoded once more after the client did so: Basic ends it at the first colon, so a
    session with a colon in its name arrives as `%3A`. Raises ClientError if it is not Basic, or no valid name.
    """
    if value is None:
        return ProxyCredentials()
    scheme, _, encoded = value.strip().partition(" ")
    if scheme.lower() != "basic":
        raise ClientError("only Basic proxy credentials are understood", hint="http://SESSION:TOKEN@host:port")
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as e:
        raise ClientError("the proxy credentials are not base64 of UTF-8 text") from e
    session = unquote(user)
    return ProxyCredentials(checked_name("session", session) if session else None, password)
