"""Where a listener stands."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp import web

from trajectory.errors import OperatorError


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bound_port(runner: web.BaseRunner) -> int:
    for site in runner.sites:
        server = getattr(site, "_server", None)
        for sock in server.sockets if server is not None else ():
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                return int(sock.getsockname()[1])
    raise OperatorError("the listener has no port")
