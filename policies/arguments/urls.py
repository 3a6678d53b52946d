"""The host of a URL, where every reader finds the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from policies.hosts import HostPattern, parse_host

_MAX_URL = 8192
_URL = re.compile(r"(https?)://([^/?#]+)(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)
_PORTS = {"http": 80, "https": 443}


def is_of(url: str, patterns: Iterable[str]) -> bool:
    """Whether `url` is an http or https URL whose host matches one of `patterns`."""
    if len(url) > _MAX_URL or not url.isprintable() or "\\" in url or " " in url:
        return False
    match = _URL.fullmatch(url)
    # a reader that ends the host at the first slash only sees a user name in front of an @ behind ? or #
    if match is None or "@" in url.split("/", 3)[2]:
        return False
    try:
        host = parse_host(match[2])
    except ValueError:
        return False
    port = host.port if host.port is not None else _PORTS[match[1].lower()]
    known = parse_host(f"[{host.name}]:{port}" if ":" in host.name else f"{host.name}:{port}")
    return any(HostPattern.parse(pattern).matches(known) for pattern in patterns)
