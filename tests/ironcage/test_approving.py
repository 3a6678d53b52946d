"""A person decides on a call of a real agent: the gateway waits, a command of another process lets it go on."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import openai
import pytest

from ironcage.console.server import Console
from proxy.approval_desk import Desk
from tests.support.asking import ALLOWED, DENIED
from tests.support.house import ironcage
from tests.support.recordings import Message, calls, said
from tests.support.replaying import Replaying, replaying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKEN = "the-operators-own-token"
PAY = {"to": "acme", "cents": 100}
TOOLS: Any = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]
APPROVALS = {"approvals": {"tools": {"pay": {}}, "timeout_s": 60}}


def treasurer(messages: list[Message]) -> Message:
    return said("Done.") if messages[-1]["role"] == "tool" else calls(("c1", "pay", json.dumps(PAY)))


@asynccontextmanager
async def treasury(folder: Path, **policies: Any) -> AsyncIterator[tuple[Replaying, Desk, Console]]:
    """A proxy in this process, and beside it a configuration with which commands find it."""
    async with replaying(folder, {"prod-1": treasurer}, policies={**APPROVALS, **policies}) as at:
        doors = at.served.doors
        assert doors.desk is not None
        async with Console(doors.store, "127.0.0.1", 0, doors.loaded, desk=doors.desk) as console:
            found = {"admin_listen": urlsplit(console.url).netloc}
            (folder / "ironcage.yaml").write_text(json.dumps(found), encoding="utf-8")
            yield at, doors.desk, console


def agent(at: Replaying) -> asyncio.Task[Any]:
    client = openai.AsyncOpenAI(api_key="k", base_url=f"{at.served.url('openai')}/v1", max_retries=0)

    async def ask() -> Any:
        async with client:
            asked: dict[str, Any] = {
                "model": "prod-1",
                "messages": [{"role": "user", "content": "pay"}],
                "tools": TOOLS,
            }
            reply = await client.chat.completions.create(**asked)
            return reply.choices[0].message

    return asyncio.ensure_future(ask())


async def asked(desk: Desk, agent: asyncio.Task[Any]) -> str:
    """The id of the question, once it lies on the desk."""
    while not (questions := desk.questions()):
        assert not agent.done(), agent
        await asyncio.wait_for(desk.changed(desk.version), 10)
    return questions[0].asked.id


async def test_a_call_waits_until_a_command_of_another_process_lets_it_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONCAGE_APPROVALS_TOKEN", TOKEN)
    async with treasury(tmp_path) as (at, desk, _):
        waiting = agent(at)
        question = await asked(desk, waiting)
        assert not waiting.done()
        command = ("approvals", "allow", question, "--by", "ada", "--reason", "as agreed")
        config = ("-c", str(tmp_path / "ironcage.yaml"))
        done = await ironcage(*config, *command, cwd=tmp_path, IRONCAGE_APPROVALS_TOKEN=TOKEN)
        assert done.code == 0, done.err
        message = await asyncio.wait_for(waiting, 10)
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [PAY]
    (note,) = at.served.steps()[0].last.verdicts
    assert (note.action, note.code, note.by, note.message) == ("ask", "allowed", "ada", "as agreed")


async def test_who_comes_again_after_giving_up_gets_the_decision_made_meanwhile(tmp_path: Path) -> None:
    async with treasury(tmp_path) as (at, desk, _):
        first = agent(at)
        question = await asked(desk, first)
        first.cancel()
        while desk.questions()[0].state == "waiting":
            await asyncio.wait_for(desk.changed(desk.version), 10)
        settled, _ = desk.settle(question, ALLOWED) or pytest.fail("forgotten")
        assert settled.is_held
        message = await asyncio.wait_for(agent(at), 10)
        assert message.tool_calls[0].function.name == "pay"
        third = agent(at)
        assert await asked(desk, third) != question, "once"
        third.cancel()
    notes = [note for step in at.served.steps() for view in step.attempts for note in view.verdicts]
    assert [(note.code, note.by) for note in notes] == [("withdrawn", ""), ("allowed", "ada"), ("withdrawn", "")]


async def test_the_page_of_the_trajectory_says_who_decided_and_why(tmp_path: Path) -> None:
    async with treasury(tmp_path) as (at, desk, console):
        waiting = agent(at)
        desk.settle(await asked(desk, waiting), DENIED)
        assert "bob has denied it: not on a Friday" in (await asyncio.wait_for(waiting, 10)).content
        url, html = f"{console.url}/trajectories/s1", {"Accept": "text/html"}
        async with aiohttp.ClientSession(headers=html) as browser, browser.get(url) as reply:
            page = await reply.text()
    verdict = page[page.index('<div class="verdict') :]
    assert "Denied by bob" in verdict
    assert "not on a Friday" in verdict
