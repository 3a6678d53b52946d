"""What the gateway says by itself: outside any exchange, or where HTTP has a status for the refusal."""

from __future__ import annotations

from aiohttp import web
from msgspec import structs

from policies.verdict import Refuse
from proxy.routing import Destination
from trajectory.errors import ClientError

NO_WEBSOCKETS = Refuse("route_refused", "websocket", "WebSockets are not served here; use HTTP.")


def turned_away(destination: Destination, status: int, refused: Refuse) -> Destination:
    """To nowhere, but to be written down like any other refusal."""
    return structs.replace(destination, refused=refused, refusal_status=status)


def plain_error(status: int, code: str, message: str) -> web.Response:
    """An answer outside any exchange: nothing was routed, so there is no native shape to speak in."""
    headers = {"x-should-retry": "false", "x-ironcage-refusal": code}
    return web.json_response(
        {"error": {"message": message, "type": "ironcage", "code": code}}, status=status, headers=headers
    )


def not_a_name(error: ClientError) -> web.Response:
    return plain_error(400, "route_refused", f"{error}: {error.hint}" if error.hint else str(error))
