"""`ironcage shadow` against a proxy and console in this process."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ironcage.console.server import Console
from ironcage.shadowing import ShadowDesk
from tests.support.command_line import CommandLine, Printed
from tests.support.recordings import Message, said, user
from tests.support.replaying import Replaying, replaying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def production(_: list[Message]) -> Message:
    return said("Hello.")


@asynccontextmanager
async def running(folder: Path, cli: CommandLine, **config: Any) -> AsyncIterator[tuple[Replaying, ShadowDesk]]:
    """`cli` is configured to find the console, which asks for the token that `config` names."""
    token = {"access_token": config["access_token"]} if "access_token" in config else {}
    async with replaying(folder, {"prod-1": production, "same-1": production}, **token) as at:
        desk = ShadowDesk(at.served.doors)
        async with Console(at.served.store, "127.0.0.1", 0, at.served.doors.loaded, shadows=desk) as console:
            cli.config(admin_listen=urlsplit(console.url).netloc, **config)
            yield at, desk
        await desk.stop()


async def told(cli: CommandLine, *arguments: str) -> Printed:
    return await asyncio.to_thread(cli, "shadow", *arguments)


async def test_a_shadow_is_started_asked_after_and_stopped(tmp_path: Path, cli: CommandLine) -> None:
    async with running(tmp_path, cli) as (at, desk):
        assert (await told(cli, "status")).out == "no shadow was started\n"
        begun = await told(cli, "start", "--candidate", "same=openai/same-1", "--share", "1", "--json")
        assert (begun.code, begun.json["running"]) == (0, True)
        again = await told(cli, "start", "--candidate", "same=openai/same-1")
        assert (again.code, "a shadow is running" in again.err) == (2, True)
        await at.ask("prod", [user("hi")])
        await desk.idle()
        shown = await told(cli, "status")
        assert "heard 1, sampled 1, compared 1, failed 0" in shown.out
        assert "same" in shown.out
        stopped = await told(cli, "stop", "--json")
        assert stopped.json["running"] is False
        assert stopped.json["id"] == begun.json["id"]
        assert [one.id for one in at.served.store.bakeoffs()] == [begun.json["id"]], "scored as any bake-off"


async def test_what_the_configuration_says_is_begun_with_and_flags_go_before_it(
    tmp_path: Path, cli: CommandLine
) -> None:
    configured = {"candidates": ["same=openai/same-1"], "share": 0.25, "unit": "trajectory"}
    async with running(tmp_path, cli, shadow=configured, access_token="open-sesame"):
        begun = await told(cli, "start", "--share", "0.5", "--json")
        assert begun.json["settings"]["share"] == 0.5
        assert begun.json["settings"]["unit"] == "trajectory"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("start",), "there is no candidate"),
        (("start", "--candidate", "x"), "is not NAME=UPSTREAM/MODEL"),
        (("start", "--candidate", "a=openai/same-1", "--share", "2"), "share"),
        (("start", "--candidate", "a=openai/same-1", "--budget-usd", "1"), "no price is known"),
    ],
)
async def test_what_cannot_be_mirrored_is_said(
    tmp_path: Path, cli: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    async with running(tmp_path, cli):
        done = await told(cli, *arguments)
        assert (done.code, message in done.err) == (2, True), done.err


async def test_without_a_proxy_it_says_how_to_start_one(cli: CommandLine) -> None:
    cli.config(admin_listen="127.0.0.1:9")
    done = await told(cli, "status")
    assert (done.code, "start it with: ironcage serve" in done.err) == (3, True)


async def test_a_page_elsewhere_cannot_start_one(tmp_path: Path, cli: CommandLine) -> None:
    """What a browser sends without asking first is no JSON."""

    def post(where: str) -> tuple[int, bytes]:
        body = json.dumps({"candidates": ["a=openai/same-1"]})
        with closing(http.client.HTTPConnection(where, timeout=10)) as connection:
            connection.request("POST", "/api/shadow", body, {"Content-Type": "text/plain"})
            reply = connection.getresponse()
            return reply.status, reply.read()

    async with running(tmp_path, cli) as (_, desk):
        where = json.loads(cli.file.read_text())["admin_listen"]
        assert (await asyncio.to_thread(post, where))[0] == 415
        assert not (await desk.status()).running
