"""Ports of our own and hosts of upstreams. Only asked with --network does anything leave this machine."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import threading
from collections.abc import Iterator

from ironcage.doctor.report import Line, fail, ok, warn
from ironcage.settings import Loaded, address
from proxy.gateway_listening import is_loopback
from proxy.settings import Upstream
from trajectory.errors import OperatorError

TIMEOUT_S = 2.0
_NOWHERE = "/s/-/doctor"  # no session can be called so: refused before anything is recorded


def check_ports(loaded: Loaded) -> Iterator[Line]:
    settings = loaded.settings
    for key, value in (
        ("listen", settings.listen),
        ("admin_listen", settings.admin_listen),
        ("forward_listen", settings.forward_listen),
    ):
        if value is not None:
            yield _check_port(key, value, has_token=settings.access_token is not None)


def check_upstreams(loaded: Loaded, *, network: bool) -> Iterator[Line]:
    for name, upstream in loaded.settings.upstreams.items():
        yield from _check_settings(name, upstream, loaded)
        if network:
            yield _check_reachable(name, upstream)
    if not loaded.settings.upstreams:
        yield warn("upstreams", "none are configured", "name models and tools under upstreams")
    elif not network:
        yield ok("upstreams", "not tried; --network tries to connect")


def _check_port(key: str, value: str, *, has_token: bool) -> Line:
    try:
        host, port = address(value, key)
    except OperatorError as e:
        return fail(key, str(e), e.hint)
    if not is_loopback(host) and not has_token:
        return fail(key, f"{value} can be reached from elsewhere, and no token is asked for", "set access_token")
    if port == 0:
        return ok(key, f"{value}: a free port is taken at each start")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as e:
            return _taken(key, value, host, port, e)
    return ok(key, f"{value} is free")


def _taken(key: str, value: str, host: str, port: int, error: OSError) -> Line:
    if error.errno != errno.EADDRINUSE:
        return fail(key, f"cannot listen on {value}: {error.strerror}", "choose another address")
    if _is_ours(key, {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port):  # noqa: S104 - compared, not bound
        return ok(key, f"{value}: ironcage is running there")
    return fail(key, f"{value} is taken by another program", "end it, or choose another port")


def _is_ours(key: str, host: str, port: int) -> bool:
    """Each door of ours tells itself by its answer to a request that serves nothing."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz" if key == "admin_listen" else _NOWHERE)
        reply = connection.getresponse()
        body = reply.read(4096)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    if key == "admin_listen":
        return reply.status == 200 and b'"ok"' in body
    return reply.getheader("x-ironcage-refusal") is not None or b"ironcage" in body.lower()


def _check_settings(name: str, upstream: Upstream, loaded: Loaded) -> Iterator[Line]:
    where = f"upstream {name}"
    if upstream.api_key_env is not None and not os.environ.get(upstream.api_key_env):
        yield fail(where, f"{upstream.api_key_env} is not set", "export it, or remove api_key_env")
    if upstream.ca_file is not None and not os.access(loaded.path(upstream.ca_file), os.R_OK):
        yield fail(where, f"its ca_file {loaded.path(upstream.ca_file)} cannot be read", "correct the path")


def _check_reachable(name: str, upstream: Upstream) -> Line:
    where = f"upstream {name}"
    _, host, port = upstream.origin
    problem = _tried(host, port)
    if problem:
        return fail(where, f"{host}:{port} cannot be reached: {problem}", "check the address, DNS and firewalls")
    return ok(where, f"{host}:{port} accepts connections")


def _tried(host: str, port: int) -> str:
    """Empty if it could be reached. Looking up a name has no time limit of its own: a thread bounds all of it."""
    said: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), TIMEOUT_S).close()
        except OSError as e:
            said.append(e.strerror or str(e) or type(e).__name__)
        else:
            said.append("")

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S + 0.5)
    return said[0] if said else f"no answer in {TIMEOUT_S:g} s"
