"""One errand for every official MCP client: its calls run side by side, are refused, fail, and meet a 429."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support.mcp_server import PERSON

OTHER = "john.doe@clinic-example.org"
ALLOWED = ["add", "slow", "contact", "fail", "busy"]
Call = tuple[str, dict[str, Any]]

ERRAND: list[list[tuple[Call, str]]] = [
    [(("add", {"a": 2, "b": 3}), "5")],
    [(("slow", {"steps": 3}), "done")],
    [
        (("add", {"a": 1, "b": 1}), "2"),
        (("shell_exec", {"command": "id"}), '"shell_exec" was called, and it is not on the allowlist'),
        (("add", {"a": 4, "b": 4}), "8"),
    ],
    [(("contact", {"email": OTHER}), f"reach {OTHER} or {PERSON}")],
    [(("fail", {"why": "no"}), "no")],
    [(("busy", {}), "")],
    [(("busy", {}), "")],
    [(("busy", {}), "retry budget of this trajectory is spent")],
]
"""Steps of calls that are made side by side, each with words that its result must hold."""
RESULTS = ("answered", "answered", "answered", "failed", "answered", "answered", "failed", "raised", "raised", "failed")
"""How each call came out: a result, a result that says it is an error, or an exception of the client."""


def told(cell: str, url: str, version: str, proxy: str | None, ca: Path) -> dict[str, Any]:
    steps = [[call for call, _ in step] for step in ERRAND]
    return {"cell": cell, "url": url, "version": version, "proxy": proxy, "ca": str(ca), "steps": steps}


async def run_errands(cells: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By cell: the tools that were listed, and for each call how it came out and what was said."""
    seen = await asyncio.gather(*(_errand(cell) for cell in cells))
    return {cell["cell"]: one for cell, one in zip(cells, seen, strict=True)}


async def _errand(cell: dict[str, Any]) -> dict[str, Any]:
    verify = ssl.create_default_context(cafile=cell["ca"])
    async with httpx2.AsyncClient(proxy=cell["proxy"], verify=verify, timeout=30) as http:
        transport: Any = streamable_http_client(cell["url"], http_client=http)
        mode = "legacy" if cell["version"] == "2025-11-25" else cell["version"]
        async with Client(transport, mode=mode) as sdk:
            listed = [tool.name for tool in (await sdk.list_tools()).tools]
            seen: list[tuple[str, str]] = []
            for step in cell["steps"]:
                seen += await asyncio.gather(*(_call(sdk, name, given) for name, given in step))
            return {"tools": listed, "seen": seen, "version": sdk.protocol_version}


async def _call(sdk: Client, name: str, arguments: dict[str, Any]) -> tuple[str, str]:
    try:
        result = await sdk.call_tool(name, arguments)
    except Exception as e:  # whatever this client raises
        return "raised", str(e)
    return "failed" if result.is_error else "answered", result.content[0].text  # type: ignore[union-attr]
