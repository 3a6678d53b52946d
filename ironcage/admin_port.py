"""How a command talks to the proxy that runs with its configuration: over the admin port."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping

from ironcage.settings import Loaded, address
from trajectory.errors import OperatorError, UpstreamError


def ask_proxy(
    loaded: Loaded,
    method: str,
    path: str,
    body: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
) -> bytes:
    """The reply's body. Raises UpstreamError where no proxy answers, OperatorError with what it says where it will not.

    `body` is sent as JSON.
    """
    host, port = address(loaded.settings.admin_listen, "admin_listen")
    sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    if loaded.settings.access_token is not None:
        sent["x-ironcage-token"] = loaded.settings.access_token
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=timeout_s)  # noqa: S104
    try:
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        reply = connection.getresponse()
        said = reply.read()
    except (OSError, http.client.HTTPException) as e:
        hint = "start it with: ironcage serve"
        raise UpstreamError(f"no proxy answers at {host}:{port} (admin_listen): {e}", hint=hint) from None
    finally:
        connection.close()
    if reply.status != 200:
        raise _declined(reply.status, reply.reason, said)
    return said


def _declined(status: int, reason: str, said: bytes) -> OperatorError:
    try:
        told = json.loads(said)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return OperatorError(f"what listens at admin_listen is no ironcage: {status} {reason}", hint="look at the port")
    return OperatorError(str(told.get("error", reason)).rstrip("."), hint=str(told.get("hint") or ""))
