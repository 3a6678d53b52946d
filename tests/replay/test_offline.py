"""Tools behind an upstream answered from the tape: nobody outside is reached, and what is not recorded is a miss."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from replay.offline import OfflineStreet, offline_street
from replay.task import Task
from tests.support.recordings import said, user
from tests.support.replaying import Replaying, replaying
from tests.support.scripted_model import Answer, ScriptedModel, scripted
from trajectory.ids import trajectory_id

NAME = "Ada Byron"
REDACTION: dict[str, Any] = {"policies": {"redaction": {"types": [], "known_values": {"NAME": [NAME]}}}}


def shop(asked: dict[str, Any]) -> Answer:
    if "jsonrpc" in asked:
        content = [{"type": "text", "text": "in transit"}]
        return Answer(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": {"content": content}}).encode())
    return Answer(json.dumps({"found": asked["name"]}).encode())


@asynccontextmanager
async def recorded(folder: Path, **settings: Any) -> AsyncIterator[tuple[Replaying, ScriptedModel, Task]]:
    """An agent that looked Ada up in the shop, and an order by MCP, and then said something to its model."""
    async with scripted(shop) as tool:
        upstreams = {"shop": {"base_url": tool.url, "kind": "tool"}, "orders": {"base_url": tool.url, "kind": "mcp"}}
        async with replaying(folder, {"prod-1": lambda _: said("ok")}, upstreams=upstreams, **settings) as at:
            await at.ask("prod", [user("hi")])
            await calls(at, "prod")
            yield at, tool, at.task("prod")


async def calls(at: Replaying, session: str, name: str = NAME) -> list[tuple[int, Any]]:
    look = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look", "arguments": {"id": 7}}}
    asked = (("shop", "/look", {"name": name}), ("orders", "", look))
    found = [await at.house.ask(session, upstream, path, json.dumps(body).encode()) for upstream, path, body in asked]
    return [(status, json.loads(body)) for status, body in found]


def begin(at: Replaying, task: Task, told: list[str], *, tape_tools: bool = True) -> OfflineStreet:
    """A session `again` on the tape."""
    masking = lambda: at.house.masking("again")  # noqa: E731
    street = offline_street(at.served.store, task, told.append, masking, tape_tools=tape_tools)
    at.house.open_session("again", None, task=task.id, seed=0, budget_spent=lambda *_: None, street=street)
    return street


async def test_tools_and_mcp_servers_answer_as_they_did_and_nobody_is_asked(tmp_path: Path) -> None:
    async with recorded(tmp_path) as (at, tool, task):
        reached, told = len(tool.asked), list[str]()
        street = begin(at, task, told)
        (found, order) = await calls(at, "again")
        await at.ask("again", [user("hi")])
        assert (len(tool.asked), told) == (reached, [])
        steps = at.served.store.trajectory(trajectory_id("again", None)).tool_steps
    assert found == (200, {"found": NAME})
    assert order[1]["result"]["content"][0]["text"] == "in transit"
    assert [step.last.tool.name for step in steps if step.last.tool] == ["look", "look"], "judged and recorded as ever"
    assert [(check.passed, check.evidence) for check in street.checks()] == [
        (True, "all 1 recorded requests were made, and no other"),
        (True, "tools: all 2 recorded requests were made, and no other"),
    ]


async def test_another_call_is_a_miss_with_the_place_and_reaches_nobody(tmp_path: Path) -> None:
    async with recorded(tmp_path) as (at, tool, task):
        reached, told = len(tool.asked), list[str]()
        street = begin(at, task, told)
        (status, _), _ = await calls(at, "again", name="Bob")
        assert len(tool.asked) == reached
    assert status in (502, 503)
    assert told == [f"tool, request 1 of the run: {told[0].partition(': ')[2]}"]
    assert f'name: recorded "{NAME}", got "Bob"' in told[0]
    assert street.checks()[1].passed is False


async def test_without_being_asked_for_tools_are_real(tmp_path: Path) -> None:
    async with recorded(tmp_path) as (at, tool, task):
        reached = len(tool.asked)
        street = begin(at, task, [], tape_tools=False)
        await calls(at, "again")
        assert len(tool.asked) == reached + 2
        assert len(street.checks()) == 1


async def test_a_masked_recording_matches_true_values_and_none_gets_into_what_is_kept(tmp_path: Path) -> None:
    async with recorded(tmp_path, **REDACTION) as (at, tool, task):
        reached, told = len(tool.asked), list[str]()
        begin(at, task, told)
        (status, found), _ = await calls(at, "again")
        assert (status, told, len(tool.asked)) == (200, [], reached)
        await calls(at, "again")
    assert NAME not in json.dumps(found)
    assert len(told) == 1
    assert "has been answered as often" in told[0]
    assert NAME not in told[0]
