"""Hosts and host patterns: read strictly, compared as whole names, never by substring.

Whatever cannot be read as a host matches no pattern, not even `*`: what we cannot read, somebody else may read
as a different host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DEFAULT_PORTS = (80, 443)
# IDNA 2003 and IDNA 2008 read these four differently (UTS 46, section 7): the name that we would compare
# might not be the name that the connection goes to.
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")


# Of metadata services that are not on the link: AWS over IPv6, Alibaba Cloud, Azure's platform.
_METADATA = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Host:
    """A host name in lower-case ASCII (punycode, no trailing dot; IPv6 without brackets) and its port, if given."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`example.com`, `*.example.com` (any name below it, not itself) or `*`, each with an optional `:port`.

    A pattern without a port matches any port; a host without one is on port 80 or 443. Neither `*` nor `*.` matches
    a host that `is_near`: such a one is meant only where it is named.
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
            return not is_near(host.name) and (not self.name or host.name.endswith("." + self.name))
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


def is_near(host: str) -> bool:
    """Whether a name or address can only mean this machine, its link, or what a cloud tells a machine of itself.

    Behind them stand services that trust whoever can reach them: the console, databases, credentials of the machine.
    """
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or str(address) in _METADATA
    )


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
    return _ipv4(name) if _NUMBER.fullmatch(name.rpartition(".")[2]) else name


def _ipv4(text: str) -> str:
    """`2130706433`, `127.1` and `0x7f.1` are addresses to those who connect (WHATWG URL, "ends in a number")."""
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError("an IPv4 address is written as four decimal numbers") from None


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError("an IPv6 address with a zone cannot be matched")
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError("not an IPv6 address") from None
    if address.ipv4_mapped is not None:
        raise ValueError("an IPv4 address is not written as an IPv6 one")
    return address.compressed


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError("a port is a number from 1 to 65535")
    return int(text)
