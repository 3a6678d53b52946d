"""The listener of the HTTPS_PROXY door; it runs in the gateway's process and event loop."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import Any

from proxy.gateway_listening import is_loopback
from proxy.intercept.hop import Hop, hand_over
from trajectory.errors import OperatorError


class InterceptDoor:
    """A forward proxy for HTTP and HTTPS whose every exchange goes to the gateway.

    mitmproxy's core (25 MB, 0.7 s of CPU) is loaded by `start`, not by an import of this file.
    """

    def __init__(self, *, hand: Any = hand_over) -> None:
        self._hand = hand
        self._server: asyncio.Server | None = None
        self._open: dict[Any, asyncio.Task[None]] = {}

    async def start(
        self,
        host: str,
        port: int,
        *,
        gateway_host: str,
        gateway_port: int,
        hop_secret: str,
        confdir: Path,
        access_token: str | None = None,
    ) -> int:
        """Listen, and return the bound port (port 0 lets the system choose one).

        `gateway_host` must be an address, not a name. `confdir` gets the CA's files (see certificates.py).
        Raises OperatorError if it cannot listen or use the folder, or off loopback without an access token.
        """
        if access_token is None and not is_loopback(host):
            raise OperatorError(
                f"a proxy door on {host} would let anyone on the network use your keys",
                hint="set access_token in the configuration, or listen on 127.0.0.1",
            )
        # Own modules, but loaded here: they are the ones that load mitmproxy.
        connection = importlib.import_module("proxy.intercept.connection")
        authority = importlib.import_module("proxy.intercept.certificates").open_authority(confdir)
        hop = Hop(gateway_host, gateway_port, hop_secret, access_token)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            client = connection.DoorConnection(reader, writer, hop, authority, self._hand)
            task = asyncio.current_task()
            assert task is not None
            self._open[client] = task
            try:
                await client.handle_client()
            finally:
                del self._open[client]

        try:
            self._server = await asyncio.start_server(serve, host, port)
        except OSError as e:
            raise OperatorError(
                f"the proxy door cannot listen on {host}:{port}: {e.strerror or e}",
                hint="choose another forward_listen, or end what uses that port",
            ) from e
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def stop_listening(self) -> None:
        """Take no new connections; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Stop listening and close every connection. Does nothing if the door is not open."""
        self.stop_listening()
        for client in list(self._open):
            client.hang_up()
        if self._open:
            await asyncio.wait(list(self._open.values()))
