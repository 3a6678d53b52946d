"""The official MCP client and server, with the gateway between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from proxy.wire.layout import read_layout
from tests.support.gateway import Served, joined, serve
from tests.support.mcp_server import PERSON, client, mcp_server
from trajectory.conversation import Reply, ToolCall

MODES = ("legacy", "2026-07-28")


@pytest.fixture(params=[False, True], ids=["events", "json"])
async def server(request: Any) -> AsyncIterator[Any]:
    async with mcp_server(json_response=request.param) as served:
        yield served


def house(tmp_path: Path, server: Any, **settings: Any) -> Any:
    return serve(tmp_path, upstreams={"demo": {"base_url": server.url, "kind": "mcp"}}, **settings)


def calls(served: Served) -> list[Any]:
    return [step.last.tool for step in served.steps() if step.kind == "tool"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_lists_and_calls_tools_as_without_the_gateway(tmp_path: Path, server: Any, mode: str) -> None:
    async with house(tmp_path, server) as served:
        for url in (server.url, served.url("demo")):
            async with client(url, mode=mode) as sdk:
                listed = await sdk.list_tools()
                assert [tool.name for tool in listed.tools] == ["add", "contact", "fail", "slow", "busy", "shell_exec"]
                added = await sdk.call_tool("add", {"a": 2, "b": 3})
                assert (added.content[0].text, added.is_error) == ("5", False)
                assert (await sdk.call_tool("contact", {"email": "x"})).content[0].text.startswith("reach x")
                assert (await sdk.call_tool("slow", {"steps": 3})).content[0].text == "done"
                assert (await sdk.call_tool("fail", {"why": "no"})).is_error
        assert server.calls[:4] == server.calls[4:]
        assert [(use.name, use.is_error) for use in calls(served)] == [
            ("add", False), ("contact", False), ("slow", False), ("fail", True),
        ]  # fmt: skip
        assert calls(served)[0].arguments in ('{"a":2,"b":3}', '{"a": 2, "b": 3}')


@pytest.mark.parametrize("mode", MODES)
async def test_tools_beyond_the_allowlist_are_neither_listed_nor_run(tmp_path: Path, server: Any, mode: str) -> None:
    allowed = ["add", "mcp__demo__slow"]  # by its own name, and by the one that agents with several servers use
    async with (
        house(tmp_path, server, constraints={"allowed_tools": allowed}) as served,
        client(served.url("demo"), mode=mode) as sdk,
    ):
        assert [tool.name for tool in (await sdk.list_tools()).tools] == ["add", "slow"]
        refused = await sdk.call_tool("shell_exec", {"command": "rm -rf /"})
        assert refused.is_error
        assert '"shell_exec" was called, and it is not on the allowlist' in refused.content[0].text
        assert (await sdk.call_tool("add", {"a": 1, "b": 1})).content[0].text == "2"
        assert (await sdk.call_tool("slow", {"steps": 1})).content[0].text == "done"
        assert [name for name, _ in server.calls] == ["add", "slow"]
        refusals = [step.last for step in served.steps() if step.last.end == "refused"]
        assert [(r.tool.name, r.tool.is_error, r.verdicts[0].code) for r in refusals if r.tool] == [
            ("shell_exec", True, "tool_not_allowed")
        ]
    listing = next(a for a in served.attempts if a.extra.get("mcp_method") == "tools/list")
    assert b"shell_exec" in joined(listing.reply)
    assert b"shell_exec" not in joined(listing.client_reply)
    assert [(note.action, note.count) for note in listing.verdicts] == [("rewrite", 4)]


async def test_calls_side_by_side_are_judged_one_by_one(tmp_path: Path, server: Any) -> None:
    async with (
        house(tmp_path, server, constraints={"allowed_tools": ["add"]}) as served,
        client(served.url("demo")) as sdk,
    ):
        names = ["add", "shell_exec"] * 5
        arguments = {"add": {"a": 1, "b": 2}, "shell_exec": {"command": "id"}}
        results = await asyncio.gather(*(sdk.call_tool(name, arguments[name]) for name in names))
        assert [result.is_error for result in results] == [False, True] * 5
        assert {name for name, _ in server.calls} == {"add"}


async def test_a_spent_retry_budget_refuses_the_same_failing_call(tmp_path: Path, server: Any) -> None:
    async with (
        house(tmp_path, server, constraints={"max_retries": 1}) as served,
        client(served.url("demo")) as sdk,
    ):
        said = [(await sdk.call_tool("fail", {"why": "no"})).content[0].text for _ in range(3)]
        assert "retry budget of this trajectory is spent" in said[2]
        assert len(server.calls) == 2
        assert (await sdk.call_tool("add", {"a": 1, "b": 2})).content[0].text == "3"  # another request still passes
        assert [len(step.attempts) for step in served.steps() if step.kind == "tool"] == [3, 1]


async def test_a_spent_egress_budget_refuses_the_call(tmp_path: Path, server: Any) -> None:
    async with (
        house(tmp_path, server, constraints={"network_egress_limit_mb": 0.01}) as served,
        client(served.url("demo")) as sdk,
    ):
        refused = await sdk.call_tool("shell_exec", {"command": "x" * 20_000})
        assert refused.is_error
        assert "egress budget" in refused.content[0].text
        assert not server.calls


async def test_the_server_gets_real_values_and_the_record_pseudonyms(tmp_path: Path, server: Any) -> None:
    person = "john.doe@clinic-example.org"
    async with (
        house(tmp_path, server, policies={"redaction": {}}) as served,
        client(served.url("demo")) as sdk,
    ):
        await sdk.list_tools()
        answer = (await sdk.call_tool("contact", {"email": person})).content[0].text
        assert answer == f"reach {person} or {PERSON}"
        assert server.calls == [("contact", {"email": person})]
        assert [h["mcp-param-email"] for _, h in server.requests if "mcp-param-email" in h] == [person]
    written = repr(served.attempts)
    assert "PII_EMAIL_" in written
    assert person not in written
    assert PERSON not in written


async def test_calls_belong_to_the_trajectory_whose_model_proposed_them(tmp_path: Path, server: Any) -> None:
    async with house(tmp_path, server) as served:
        hall = served.doors.hall
        memory = hall.memories.get("t-1", "t-1", None, None)
        call = ToolCall("call_1", "mcp__demo__add", '{"b": 3, "a": 2}')
        hall.memories.answered(memory, read_layout(b'{"messages":[]}', "messages"), Reply(calls=(call,)))
        async with client(served.url("demo", session=""), mode="legacy") as sdk:
            await sdk.list_tools()
            await sdk.call_tool("add", {"a": 2, "b": 3})
            await sdk.call_tool("add", {"a": 9, "b": 9})
    found = [(a.tool.name if a.tool else a.extra.get("mcp_method", a.method), a.matched_by) for a in served.attempts]
    assert ("add", "tool_arguments") in found
    assert ("add", "mcp") in found  # the same server session as the call that matched
    assert ("tools/list", "client") in found
    assert {a.trajectory for a in served.attempts if a.tool} == {"t-1"}


async def test_a_server_that_is_down_is_an_error_of_the_protocol(tmp_path: Path) -> None:
    nowhere = {"demo": {"base_url": "http://127.0.0.1:9/mcp", "kind": "mcp"}}
    async with serve(tmp_path, upstreams=nowhere) as served, client(served.url("demo")) as sdk:
        with pytest.raises(MCPError, match="did not answer"):
            await sdk.call_tool("add", {"a": 1, "b": 2})
