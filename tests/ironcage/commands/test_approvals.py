"""`ironcage approvals` against a console in this process."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ironcage.approvals_token import token_file
from ironcage.console.server import Console
from ironcage.settings import load
from proxy.approval_desk import Desk
from proxy.approvals import Decision
from tests.support.asking import ALLOWED, asked, leaves, waits
from tests.support.command_line import CommandLine, Printed
from trajectory.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class WatchedDesk(Desk):
    """`watched` is set once somebody waits for a change."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = asyncio.Event()

    async def changed(self, since: int) -> None:
        self.watched.set()
        await super().changed(since)


@asynccontextmanager
async def running(cli: CommandLine, **config: Any) -> AsyncIterator[WatchedDesk]:
    """`cli` is configured to find the console, and the token beside it."""
    cli.config(**config)
    desk = WatchedDesk()
    async with Console(MemoryStore(), "127.0.0.1", 0, load(cli.file), desk=desk) as console:
        cli.config(admin_listen=urlsplit(console.url).netloc, **config)
        yield desk


async def told(cli: CommandLine, *arguments: str) -> Printed:
    return await asyncio.to_thread(cli, "approvals", *arguments)


async def test_a_call_is_listed_whole_and_allowed(cli: CommandLine) -> None:
    async with running(cli) as desk:
        assert (await told(cli, "list")).out == "nothing waits\n"
        agent = await waits(desk, asked(1, arguments='{"to": "acme\\u202e", "note": "a\\nb"}', tool="wire\x1b[2J"))
        listed = await told(cli, "list")
        assert listed.out.startswith("q-1  wire\\u001b[2J\n  Calls of wire_money wait for a person.\n  ")
        assert '\n    "to": "acme\\u202e",\n    "note": "a\\n\n  │ b"\n  }\n' in listed.out
        assert "session s-1, task t-1, rule approvals, asked 2023-11-14 22:13:20 UTC" in listed.out
        done = await told(cli, "allow", "q-1", "--by", "ada", "--reason", "as agreed")
        assert (done.code, done.out) == (0, "allowed q-1 (wire\\u001b[2J)\n")
        assert await agent == ALLOWED


async def test_json_holds_the_arguments_and_nothing_that_a_terminal_obeys(cli: CommandLine) -> None:
    async with running(cli) as desk:
        agent = await waits(desk, asked(1, arguments='{"to": "\u202e"}'))
        listed = await told(cli, "list", "--json")
        assert listed.json[0]["asked"]["arguments"] == '{"to": "\u202e"}'
        assert listed.out.isascii()
        denied = await told(cli, "deny", "q-1", "--json")
        assert denied.json["decision"]["outcome"] == "denied"
        assert denied.json["decision"]["by"] == (await agent).by != ""


async def test_unknown_and_decided_calls_are_errors_that_say_why(cli: CommandLine) -> None:
    async with running(cli) as desk:
        unknown = await told(cli, "allow", "q-9")
        assert (unknown.code, "No call 'q-9' waits" in unknown.err) == (2, True)
        agent = await waits(desk, asked(1))
        await told(cli, "deny", "q-1", "--by", "bob")
        again = await told(cli, "allow", "q-1")
        assert (again.code, "Already denied by bob at " in again.err) == (2, True)
        assert (await agent).outcome == "denied"


async def test_a_late_decision_is_said_to_hold(cli: CommandLine) -> None:
    async with running(cli) as desk:
        await leaves(await waits(desk, asked(1)))
        assert "The agent has gone. Your decision holds for 15 min" in (await told(cli, "list")).out
        assert "this holds if it asks again" in (await told(cli, "allow", "q-1")).out


async def test_list_wait_returns_once_a_call_waits(cli: CommandLine) -> None:
    async with running(cli) as desk:
        await leaves(await waits(desk, asked(1)))
        listing = asyncio.ensure_future(told(cli, "list", "--wait", "--json"))
        await asyncio.wait_for(desk.watched.wait(), 10)
        agent = await waits(desk, asked(2))
        found = (await asyncio.wait_for(listing, 10)).json
        assert [(one["asked"]["id"], one["state"]) for one in found] == [("q-2", "waiting"), ("q-1", "left")]
        await leaves(agent)


@pytest.mark.parametrize("spoil", ["other", "missing"])
async def test_without_the_token_of_the_proxy_nothing_is_decided(cli: CommandLine, spoil: str) -> None:
    async with running(cli) as desk:
        agent = await waits(desk, asked(1))
        file = token_file(load(cli.file))
        if spoil == "other":
            file.write_text("the token of another proxy")
        else:
            file.unlink()
        done = await told(cli, "allow", "q-1")
        assert (done.code, "not the approvals token" in done.err) == (2, True)
        assert file.exists() == (spoil == "other"), "only the proxy makes one"
        assert not agent.done()
        await leaves(agent)


@pytest.mark.parametrize("command", [("list",), ("allow", "q-1"), ("deny", "q-1")])
def test_without_a_proxy_it_says_how_to_start_one(cli: CommandLine, command: tuple[str, ...]) -> None:
    cli.config(admin_listen="127.0.0.1:9")
    done = cli("approvals", *command)
    assert (done.code, "start it with: ironcage serve" in done.err) == (3, True)


async def test_where_no_call_waits_it_says_how_one_could(cli: CommandLine, tmp_path: Path) -> None:
    async with Console(MemoryStore(), "127.0.0.1", 0, load(cli.file)) as console:
        cli.config(admin_listen=urlsplit(console.url).netloc)
        done = await told(cli, "list")
        assert (done.code, "policies.approvals" in done.err) == (2, True)


async def test_another_server_at_the_admin_port_is_told_apart(cli: CommandLine) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 404 Not Found\r\n\r\nno")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET)
    async with server:
        port = server.sockets[0].getsockname()[1]
        cli.config(admin_listen=f"127.0.0.1:{port}")
        done = await told(cli, "list")
        assert (done.code, "is no ironcage" in done.err) == (2, True)


async def test_the_access_token_is_sent_where_one_is_set(cli: CommandLine) -> None:
    async with running(cli, access_token="agents-carry-this") as desk:
        agent = await waits(desk, asked(1))
        assert (await told(cli, "allow", "q-1", "--by", "ada", "--reason", "as agreed")).code == 0
        assert await agent == Decision("allowed", "ada", "as agreed")
