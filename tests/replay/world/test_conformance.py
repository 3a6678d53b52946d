"""What every world keeps (replay/world/contract.py), on every kind of world."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from replay.world.chain import Chain
from replay.world.contract import Answer, Snapshot, World
from replay.world.fresh import fresh_snapshot
from replay.world.kinds import ToolKinds
from replay.world.simulator import load_simulator
from replay.world.table_file import load_table_file
from replay.world.tape import Recording, Tape
from tests.support import fresh_shop
from tests.support.processes import PYTHON

ORDERS = {"7": {"id": "7", "status": "open", "items": ["pen"]}, "8": {"id": "8", "status": "paid", "items": []}}
FILE = {
    "tables": {"orders": {"file": "orders.json"}},
    "tools": {
        "get_order": {"do": "read", "table": "orders", "key": "$id", "missing": "no order {id}"},
        "cancel_order": {"do": "update", "table": "orders", "key": "$id", "set": {"status": "cancelled"}},
    },
}
CALLS = [
    ("get_order", '{"id": "7"}'),
    ("cancel_order", '{"id": "7"}'),
    ("get_order", '{"id": "7"}'),
    ("get_order", '{ "id":"7" }'),
    ("get_order", '{"id": "none"}'),
    ("get_order", "{broken"),
    ("get_order", "[1]"),
    ("get_order", "{}"),
    ("get_order", '{"id": ["7"]}'),
    ("get_order", '{"id": "7", "more": 1}'),
    ("unknown_tool", "{}"),
    ("__class__", "{}"),
    ("call", "{}"),
    ("", ""),
]
TAPE = Tape(
    (
        Recording("get_order", '{"id": "7"}', json.dumps(ORDERS["7"])),
        Recording("cancel_order", '{"id": "7"}', "cancelled"),
        Recording("get_order", "{broken", "error: no JSON", True),
    ),
    ((Recording("get_order", '{"id": "8"}', json.dumps(ORDERS["8"])),),),
)


def folder(path: Path) -> Path:
    (path / "orders.json").write_text(json.dumps(ORDERS))
    (path / "world.json").write_text(json.dumps(FILE))
    return path


def declared(path: Path) -> Snapshot:
    return load_table_file(folder(path) / "world.json")


def in_python(path: Path) -> Snapshot:
    return load_simulator("tests.support.shop_world:Shop", {"data": str(folder(path))})


def fresh(way: str, name: str) -> Callable[[Path], Snapshot]:
    """A real tool, in a process of its own."""

    def made(path: Path) -> Snapshot:
        program = (*PYTHON[:-1], fresh_shop.__file__, name, str(folder(path) / "orders.json"))
        return fresh_snapshot(f"{way}:{shlex.join(program)}", ToolKinds())

    return made


WORLDS: dict[str, Callable[[Path], Snapshot]] = {
    "tape": lambda _: TAPE,
    "tables": declared,
    "python": in_python,
    "chain": lambda path: Chain((declared(path), TAPE)),
    "chain of one": lambda _: Chain((TAPE,)),
    "fresh mcp": fresh("mcp", "pipes"),
    "fresh mcp over http": fresh("mcp+http", "mcp"),
    "fresh http": fresh("http", "http"),
}


@pytest.fixture(params=WORLDS)
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshot:
    return WORLDS[request.param](tmp_path)


@asynccontextmanager
async def begun(snapshot: Snapshot, seed: int = 0) -> AsyncIterator[World]:
    world = await snapshot.start(seed)
    try:
        yield world
    finally:
        await world.close()


async def asked(snapshot: Snapshot, seed: int = 0) -> list[Answer]:
    async with begun(snapshot, seed) as world:
        return [await world.answer(tool, arguments) for tool, arguments in CALLS]


async def test_each_answer_names_its_call_and_how_it_came_about(snapshot: Snapshot) -> None:
    for (tool, arguments), answer in zip(CALLS, await asked(snapshot), strict=True):
        assert (answer.served.tool, answer.served.arguments) == (tool, arguments)
        assert isinstance(answer.text, str)
        assert not answer.served.may_be_stale or "state may have moved" in answer.served.note


async def test_same_snapshot_and_seed_give_the_same_answers_and_no_run_reaches_another(snapshot: Snapshot) -> None:
    before = snapshot.digest
    first = await asked(snapshot, 5)
    assert await asked(snapshot, 5) == first
    assert snapshot.digest == before


async def test_two_runs_side_by_side_do_not_see_each_other(snapshot: Snapshot) -> None:
    async with begun(snapshot, 1) as one, begun(snapshot, 1) as other:
        untouched = await other.answer("get_order", '{"id": "7"}')
        async with begun(snapshot, 1) as again:
            await one.answer("cancel_order", '{"id": "7"}')
            assert (await again.answer("get_order", '{"id": "7"}')).text == untouched.text
    assert json.loads(untouched.text)["status"] == "open"


async def test_call_that_nobody_knows_is_missing_and_its_text_names_no_recording(snapshot: Snapshot) -> None:
    async with begun(snapshot) as world:
        answer = await world.answer("unknown_tool", '{"id": "7"}')
    assert (answer.is_missing, answer.is_error) == (True, True)
    assert "no result of unknown_tool is available" in json.loads(answer.text)["error"]
    assert "get_order" not in answer.text
    assert "get_order" in answer.served.note, "the record says what there is"


async def test_read_after_a_write_that_the_world_did_not_see_says_so(snapshot: Snapshot) -> None:
    async with begun(snapshot) as world:
        assert not (await world.answer("get_order", '{"id": "7"}')).served.may_be_stale
        world.witness("get_order", '{"id": "8"}')
        assert not (await world.answer("get_order", '{"id": "7"}')).served.may_be_stale, "a read moves nothing"
        world.witness("delete_order", '{"id": "7"}')
        answer = await world.answer("get_order", '{"id": "7"}')
    assert answer.served.may_be_stale
    assert "delete_order" in answer.served.note


async def test_closing_twice_is_closing_once(snapshot: Snapshot) -> None:
    world = await snapshot.start(0)
    assert await world.close() == await world.close()
