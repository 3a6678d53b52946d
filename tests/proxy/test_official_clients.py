"""The official clients, unchanged, on every format, with the gateway between them and one scripted model."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import node_clients as node
from tests.support import python_clients as python
from tests.support.client_scenarios import PERSON, SETTINGS, ActingModel, Cell, cells, told_of
from tests.support.dialects import DIALECTS
from tests.support.gateway import Served, joined, serve
from tests.support.scripted_model import scripted


@dataclass(frozen=True)
class Client:
    """`ends` are its own words for how a turn without and with calls ended, if it does not use the format's."""

    lives_through: Callable[[list[dict[str, Any]]], Awaitable[dict[str, dict[str, Any]]]]
    dialects: tuple[str, ...]
    ends: tuple[str, str] | None = None


CLIENTS = {
    "python-openai": Client(partial(python.lived_through, python.openai_talk), ("chat", "responses")),
    "python-anthropic": Client(partial(python.lived_through, python.anthropic_talk), ("messages",)),
    "python-genai": Client(partial(python.lived_through, python.genai_talk), ("gemini", "interactions")),
    "python-mistral": Client(partial(python.lived_through, python.mistral_talk), ("mistral",)),
    "node-openai": Client(partial(node.lived_through, "openai.mjs"), ("chat", "responses")),
    "node-anthropic": Client(partial(node.lived_through, "anthropic.mjs"), ("messages",)),
    "node-ai": Client(partial(node.lived_through, "ai.mjs"), ("chat", "responses", "messages"), ("stop", "tool-calls")),
    "node-genai": Client(partial(node.lived_through, "genai.mjs"), ("gemini", "interactions")),
}


@pytest.mark.parametrize("name", CLIENTS)
async def test_an_official_client_works_unchanged_under_every_rule(tmp_path: Path, name: str) -> None:
    client = CLIENTS[name]
    acting = ActingModel()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(scripted(acting))
        upstreams = {"m": {"base_url": model.url}}
        houses = {
            kind: await stack.enter_async_context(serve(tmp_path, upstreams=upstreams, **settings))
            for kind, settings in SETTINGS.items()
        }
        wanted = list(cells(client.dialects))
        direct = await client.lives_through([cell.told(model.url) for cell in wanted if cell.scenario.untouched])
        seen = await client.lives_through(
            [cell.told(houses[cell.scenario.settings].url("m", cell.session)) for cell in wanted]
        )
    wrong = {cell.name: problem for cell in wanted if (problem := _problem(cell, client.ends, seen[cell.name]))}
    assert wrong == {}
    assert {name: seen[name] for name in direct} == direct
    for cell in wanted:
        _check_record(cell, houses[cell.scenario.settings], acting.asked[cell.name])


def _problem(cell: Cell, ends: tuple[str, str] | None, seen: dict[str, Any]) -> Any:
    """None if the client saw what it should; else what it saw."""
    wanted, dialect = cell.scenario, DIALECTS[cell.dialect]
    if bool(seen["error"]) is not bool(wanted.error):
        return seen
    if wanted.error:
        error = seen["error"]
        told = wanted.error in error["message"]
        return None if told and (cell.streamed or error["status"] == dialect.refused) else seen
    if len(seen["turns"]) != len(wanted.seen):
        return seen
    for turn, (text, calls) in zip(seen["turns"], wanted.seen, strict=True):
        given = [[call["name"], call["arguments"]] for call in turn["calls"]]
        said = re.fullmatch(text, turn["text"], re.DOTALL)
        if (
            not said
            or given != [told_of(call) for call in calls]
            or turn["finish"] != (ends or dialect.ends)[bool(calls)]
        ):
            return seen
    return None


def _check_record(cell: Cell, house: Served, asked: list[bytes]) -> None:
    attempts = [a for a in house.attempts if cell.name.encode() in joined(a.request)]
    assert len({a.trajectory for a in attempts}) == 1, cell.name
    assert tuple(a.end for a in attempts) == cell.scenario.ends, cell.name
    assert [a.streamed for a in attempts if a.end == "complete"] == [
        cell.streamed for a in attempts if a.end == "complete"
    ]
    times = cell.scenario.asked or len(attempts)
    assert len(asked[-times:]) == times, cell.name
    if cell.scenario.untouched:
        assert asked[:-times] == asked[-times:], cell.name
        assert all(a.client_reply is None and not a.verdicts for a in attempts)
    else:
        assert len(asked) == times, cell.name
    if cell.name_of_scenario == "refused":
        assert b"delete_all" not in asked[0]
        assert [c.name for c in attempts[0].answer.calls] == ["delete_all", "weather"]
    if cell.name_of_scenario == "masked":
        assert PERSON.encode() not in b"".join(asked)
        assert PERSON not in repr(attempts)
