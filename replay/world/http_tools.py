"""A service over HTTP as a world's tools: a tool is a path, its arguments are the JSON body, its result the reply.

404 means that there is no such tool; any other status from 400 on is the tool's own error.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from proxy.arrivals import Headers
from proxy.upstream import Patience, UpstreamClient
from replay.world.contract import ToolError, UnknownToolError
from replay.world.mcp_links import CALL_TIMEOUT_S
from replay.world.server_process import ServerProcess
from trajectory.errors import CageError, UpstreamError


class HttpTools:
    """`url` without a slash at its end; `process` is the service's, if it was started for this run."""

    def __init__(self, url: str, *, headers: Headers = (), process: ServerProcess | None = None) -> None:
        self._url, self._headers, self._process = url, headers, process
        self._client = UpstreamClient()

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        url = f"{self._url}/{quote(tool, safe='')}"
        patience = Patience(connect_s=CALL_TIMEOUT_S, idle_s=CALL_TIMEOUT_S)
        headers = (("Content-Type", "application/json"), *self._headers)
        try:
            reply = await self._client.ask("POST", url, headers, json.dumps(arguments).encode(), patience=patience)
            try:
                text = b"".join([part async for part in reply.parts()]).decode("utf-8", "replace")
            finally:
                reply.close()
        except UpstreamError as error:
            raise CageError(f"the tool service cannot be reached: {error}") from None
        if reply.status == 404:
            raise UnknownToolError(text[:300])
        if reply.status >= 400:
            raise ToolError(text)
        return text

    async def close(self) -> tuple[str, ...]:
        await self._client.__aexit__(None, None, None)
        return () if self._process is None else await self._process.end()
