"""The official MCP clients, unchanged, on both versions of the protocol and through both doors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ironcage.reach import ca_folder
from tests.support import mcp_clients as python
from tests.support import node_clients as node
from tests.support.gateway import Served, serve
from tests.support.mcp_clients import ALLOWED, ERRAND, OTHER, RESULTS, told
from tests.support.mcp_server import PERSON, mcp_server
from tests.support.medagent_servers import make_certificate

VERSIONS = ("2025-11-25", "2026-07-28")
Run = Callable[[list[dict[str, Any]]], Awaitable[dict[str, dict[str, Any]]]]
CLIENTS: dict[str, Run] = {"python": python.run_errands, "node": partial(node.lived_through, "mcp.mjs")}
EXPECTED = [words for step in ERRAND for _, words in step]


@dataclass
class House:
    served: Served
    server: Any
    ca: Path
    authority: Path


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    _, certificate = make_certificate(tmp_path)
    async with mcp_server(certificate=certificate) as server:
        upstreams = {"demo": {"base_url": server.url, "kind": "mcp", "ca_file": str(certificate)}}
        async with serve(
            tmp_path,
            upstreams=upstreams,
            forward_listen="127.0.0.1:0",
            constraints={"allowed_tools": ALLOWED, "max_retries": 1},
            policies={"redaction": {"types": ["EMAIL"]}},
        ) as served:
            yield House(served, server, certificate, ca_folder(served.doors.loaded) / "ca.pem")


@pytest.mark.parametrize("name", CLIENTS)
async def test_an_official_client_works_unchanged_under_every_rule(house: House, name: str) -> None:
    served, server = house.served, house.server
    cells = []
    for version in VERSIONS:
        cells.append(told(f"url-{version}", served.url("demo", f"url-{version}"), version, None, house.ca))
        proxy = str(served.doors.proxy_url).replace("://", f"://proxy-{version}:x@")
        cells.append(told(f"proxy-{version}", server.url, version, proxy, house.authority))
    seen = await CLIENTS[name](cells)
    for cell in cells:
        one, kept = seen[cell["cell"]], [a for a in served.attempts if a.session == cell["cell"]]
        assert (one["version"], one["tools"]) == (cell["version"], ["add", "contact", "fail", "slow", "busy"])
        assert [how for how, _ in one["seen"]] == list(RESULTS), one["seen"]
        assert [words for (_, text), words in zip(one["seen"], EXPECTED, strict=True) if words not in text] == []
        assert {a.door for a in kept} == {"proxy" if cell["proxy"] else "base_url"}
        tools = [(a.tool.name, a.end) for a in kept if a.tool]
        assert sorted(tools) == sorted(
            [("add", "complete")] * 3
            + [("slow", "complete"), ("contact", "complete"), ("fail", "failed"), ("shell_exec", "refused")]
            + [("busy", "failed")] * 2 + [("busy", "refused")]
        )  # fmt: skip
    ran = [name for name, _ in server.calls]
    assert (ran.count("busy"), ran.count("shell_exec"), ran.count("contact")) == (2 * len(cells), 0, len(cells))
    assert ("contact", {"email": OTHER}) in server.calls
    assert PERSON not in repr(served.attempts) and OTHER not in repr(served.attempts)
