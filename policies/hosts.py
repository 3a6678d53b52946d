"""Hosts and host patterns: read strictly, compared as whole names, never by substring.

Whatever cannot be read as a host matches no pattern, not even `*`: what we cannot read, somebody else may read
as a different host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv6Address

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DEFAULT_PORTS = (80, 443)
# IDNA 2003 and IDNA 2008 read these four differently (UTS 46, section 7): the name that we would compare
# might not be the name that the connection goes to.
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")


@dataclass(frozen=True, slots=True)
class Host:
    """A host name in lower-case ASCII (punycode, no trailing dot; IPv6 without brackets) and its port, if given."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`example.com`, `*.example.com` (any name below it, not itself) or `*`, each with an optional `:port`.

    A pattern without a port matches any port; a host without one is on port 80 or 443.
    """

    text: str
    name: str
    below: bool = False
    ports: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Raises ValueError with what is wrong."""
        if text == "*":
            return cls(text, "", below=True)
        if text.startswith("*:"):
            return cls(text, "", below=True, ports=(_port(text[2:]),))
        below = text.startswith("*.")
        host = parse_host(text[2:] if below else text)
        if below and (":" in host.name or host.name.rpartition(".")[2].isdigit()):
            raise ValueError("an address has no names below it: `*.` needs a domain name")
        return cls(text, host.name, below, () if host.port is None else (host.port,))

    def matches(self, host: Host) -> bool:
        ports = _DEFAULT_PORTS if host.port is None else (host.port,)
        if self.ports and not any(port in self.ports for port in ports):
            return False
        if self.below:
            return not self.name or host.name.endswith("." + self.name)
        return host.name == self.name


class HostAllowlist:
    """Whether a host, as text from a request, is a configured one or matches one of several patterns."""

    def __init__(self, patterns: Iterable[str], configured: Iterable[str] = ()) -> None:
        """A configured host without a port is on a default one, and no other port of it is allowed.

        Raises ValueError for what cannot be read.
        """
        named = [HostPattern.parse(text) for text in dict.fromkeys(configured)]
        here = [replace(pattern, ports=pattern.ports or _DEFAULT_PORTS) for pattern in named]
        self.patterns = (*here, *(HostPattern.parse(text) for text in dict.fromkeys(patterns)))
        self.allows = lru_cache(maxsize=1024)(self._allows)

    def _allows(self, host: str) -> bool:
        try:
            parsed = parse_host(host)
        except ValueError:
            return False
        return any(pattern.matches(parsed) for pattern in self.patterns)


def check_pattern(text: str) -> str:
    """`text` if it is a host pattern; ValueError otherwise."""
    HostPattern.parse(text)
    return text


@lru_cache(maxsize=1024)
def parse_host(text: str) -> Host:
    """Read `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address. ValueError if it is none of these."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address in brackets may be followed only by `:port`")
        return Host(_ipv6(address), _port(rest[1:]) if rest else None)
    if text.count(":") > 1:
        return Host(_ipv6(text))
    name, colon, port = text.partition(":")
    return Host(_domain(name), _port(port) if colon else None)


def _domain(name: str) -> str:
    if not name.isascii():
        if not _DEVIATIONS.isdisjoint(name):
            raise ValueError("write this host in punycode (xn--): its characters are read in two ways")
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError("not an international domain name") from None
    name = name.lower().removesuffix(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("not a host name: labels of letters, digits, - and _, joined with dots")
    return name


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError("an IPv6 address with a zone cannot be matched")
    try:
        return IPv6Address(text).compressed
    except ValueError:
        raise ValueError("not an IPv6 address") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError("a port is a number from 1 to 65535")
    return int(text)
