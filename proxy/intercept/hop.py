"""How the door speaks to the gateway: the headers of the hop, and what may become of a request's own headers.

Pure: header fields in, header fields or a refusal out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from proxy.intercept.credentials import ProxyCredentials, read_proxy_authorization
from trajectory.errors import ClientError

HOP_HEADER = "x-ironcage-hop"
"""Proves to the gateway that a request came through the door: a secret made anew in each process."""
TARGET_HEADER = "x-ironcage-target"
"""Where the client wanted to go: `scheme://host:port`, the port always given, IPv6 addresses in brackets."""
SESSION_HEADER = "x-ironcage-session"

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Hop-by-hop (RFC 9110, 7.6.1), credentials of this proxy, and the names that only the door may set.
_DROPPED = frozenset(
    {HOP_HEADER, TARGET_HEADER, "proxy-authorization", "proxy-connection", "upgrade", "http2-settings", "connection"}
)

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Hop:
    """The gateway as the door reaches it. Without an access token every client that can connect may pass."""

    host: str
    port: int
    secret: str
    access_token: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> str:
        """ASCII, as for TARGET_HEADER. Raises UnicodeError for a host that IDNA cannot write."""
        host = self.host if self.host.isascii() else self.host.encode("idna").decode()
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def is_named_by(self, host_header: str) -> bool:
        """A Host header that names this target, with or without a default port, in any case."""
        authority = self.origin.partition("://")[2]
        names = {authority}
        if self.port == _DEFAULT_PORTS.get(self.scheme):
            names.add(authority.rpartition(":")[0])
        return host_header.strip().lower() in {name.lower() for name in names}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request's head as it reached the door. `target` is None if it named none (origin-form, RFC 9112 3.2.1)."""

    version: bytes
    target: Target | None
    in_tunnel: bool
    fields: Fields


@dataclass(frozen=True, slots=True)
class DoorRefusal:
    """An answer that the door gives by itself, without the gateway."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        error = {"type": "ironcage_refusal", "code": self.code, "message": self.message}
        return json.dumps({"error": error}).encode()

    @property
    def fields(self) -> Fields:
        """Header fields for `body`. A client's SDK must not retry: the answer will not change."""
        named = (
            ("content-type", "application/json"),
            ("content-length", str(len(self.body))),
            ("x-ironcage-refusal", self.code),
            ("x-should-retry", "false"),
            *self.headers,
        )
        return tuple((name.encode(), value.encode()) for name, value in named)


DOOR_FAILED = DoorRefusal(502, "policy_failed", "ironcage's proxy door failed on this request and did not let it pass")


def admit(fields: Fields, hop: Hop) -> ProxyCredentials | DoorRefusal:
    """Who is at the door, for a CONNECT or for a request outside a tunnel."""
    try:
        credentials = read_proxy_authorization(_first(fields, b"proxy-authorization"))
    except ClientError as e:
        return DoorRefusal(400, "route_refused", f"{e}. {e.hint}")
    if not credentials.opens(hop.access_token):
        ask = (("proxy-authenticate", 'Basic realm="ironcage"'),)
        return DoorRefusal(407, "route_refused", "this proxy needs the access token as its password", ask)
    return credentials


def hand_over(arrival: Arrival, hop: Hop, credentials: ProxyCredentials) -> Fields | DoorRefusal:
    """The header fields with which a request goes on to the gateway, in their order, or why it does not.

    A session that the request itself names wins over the proxy credentials.
    """
    if refusal := _refusal(arrival):
        return refusal
    target = arrival.target
    assert target is not None
    kept = tuple((name, value) for name, value in arrival.fields if name.lower().decode("latin-1") not in _DROPPED)
    if not arrival.in_tunnel or _first(kept, b"host") is None:
        # RFC 9112 3.2.2: a proxy ignores the Host of an absolute-form request and writes the target's own
        kept = (_host(target), *((n, v) for n, v in kept if n.lower() != b"host"))
    if credentials.session is not None and _first(kept, SESSION_HEADER.encode()) is None:
        kept += ((SESSION_HEADER.encode(), credentials.session.encode()),)
    if persistence := _persistence(arrival.fields):
        kept += ((b"connection", persistence),)
    return (*kept, (HOP_HEADER.encode(), hop.secret.encode()), (TARGET_HEADER.encode(), target.origin.encode()))


def _refusal(arrival: Arrival) -> DoorRefusal | None:
    upgrade = _first(arrival.fields, b"upgrade") or ""
    if arrival.version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return DoorRefusal(505, "route_refused", "this proxy speaks HTTP/1.1 and HTTP/1.0")
    if any(c in value for _, value in arrival.fields for c in b"\r\n\0"):
        return DoorRefusal(400, "route_refused", "a header field holds a line break or a zero byte")
    if "websocket" in upgrade.lower():
        answer = (("upgrade", "HTTP/1.1"), ("connection", "Upgrade"))
        return DoorRefusal(426, "route_refused", "WebSockets are not let through; use plain HTTP", answer)
    return _wrong_target(arrival)


def _wrong_target(arrival: Arrival) -> DoorRefusal | None:
    target = arrival.target
    hosts = [value.decode("latin-1") for name, value in arrival.fields if name.lower() == b"host"]
    if target is None:
        # Also what ends a loop: whatever the gateway sends to this port by mistake is in origin-form.
        return DoorRefusal(400, "route_refused", "this is a proxy's port: set HTTP_PROXY or HTTPS_PROXY to it")
    if len(hosts) > 1:
        return DoorRefusal(400, "route_refused", "more than one Host header")
    if arrival.in_tunnel and hosts and not target.is_named_by(hosts[0]):
        # Otherwise a tunnel to an allowed host could carry requests for another one (domain fronting).
        return DoorRefusal(421, "route_refused", f"the tunnel leads to {target.origin}, not to {hosts[0][:80]}")
    return None


def _host(target: Target) -> tuple[bytes, bytes]:
    authority = target.origin.partition("://")[2]
    is_default = target.port == _DEFAULT_PORTS.get(target.scheme)
    return b"Host", (authority.rpartition(":")[0] if is_default else authority).encode()


def _persistence(fields: Fields) -> bytes:
    """Of a Connection header only `close` and `keep-alive` go on: it could name the hop's own headers for removal."""
    asked = {t.strip().lower() for n, v in fields if n.lower() == b"connection" for t in v.split(b",")}
    return b"close" if b"close" in asked else b"keep-alive" if b"keep-alive" in asked else b""


def _first(fields: Fields, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in fields if key.lower() == name), None)
