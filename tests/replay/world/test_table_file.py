from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay.world.contract import World
from replay.world.table_file import load_table_file
from trajectory.errors import OperatorError

ORDERS = [
    {"id": "a", "customer": "ann", "status": "open", "total": 5},
    {"id": "b", "customer": "bob", "status": "paid", "total": 7},
    {"id": "c", "customer": "ann", "status": "sent", "total": 9},
]
TOOLS: dict[str, Any] = {
    "get": {"do": "read", "table": "orders", "key": "$id", "missing": "no order {id}", "fields": ["id", "status"]},
    "find": {"do": "filter", "table": "orders", "where": {"customer": "$customer", "status": ["open", "paid", "sent"]}},
    "first": {"do": "filter", "table": "orders", "fields": ["id"], "limit": 1},
    "cancel": {
        "do": "update", "table": "orders", "key": "$id", "when": {"status": ["open", "paid"]},
        "set": {"status": "cancelled", "note": "by {who}"}, "missing": "no order {id}", "refused": "{id} is on its way",
    },
    "add": {
        "do": "insert", "table": "orders", "key": "n-{number}", "set": {"customer": "$customer", "total": "$total"},
    },
    "add_named": {"do": "insert", "table": "orders", "key": "$id", "set": {"id": "$id"}, "exists": "{id} is there"},
    "drop": {"do": "delete", "table": "orders", "key": "$id"},
}  # fmt: skip


def written(folder: Path, **change: Any) -> Path:
    (folder / "orders.json").write_text(json.dumps(ORDERS))
    file = folder / "world.yaml"
    declared = {"tables": {"orders": {"file": "orders.json", "key": "id"}}, "tools": TOOLS, **change}
    file.write_text(yaml.safe_dump(declared))
    return file


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await load_table_file(written(tmp_path)).start(0)


async def told(world: World, tool: str, **arguments: object) -> Any:
    return json.loads((await world.answer(tool, json.dumps(arguments))).text)


async def test_read_gives_the_declared_fields_or_the_declared_error(world: World) -> None:
    assert await told(world, "get", id="a") == {"id": "a", "status": "open"}
    assert await told(world, "get", id="z") == {"error": "no order z"}
    assert await told(world, "get") == {"error": "the argument id is missing"}


async def test_filter_takes_given_arguments_only_and_lists_as_one_of_these(world: World) -> None:
    assert [row["id"] for row in await told(world, "find", customer="ann")] == ["a", "c"]
    assert [row["id"] for row in await told(world, "find")] == ["a", "b", "c"]
    assert await told(world, "find", customer="nobody") == []
    assert await told(world, "first") == [{"id": "a"}]


async def test_update_checks_first_and_is_seen_by_later_reads(world: World) -> None:
    assert await told(world, "cancel", id="c", who="ann") == {"error": "c is on its way"}
    assert await told(world, "cancel", id="a") == {"error": "the argument who is missing"}
    assert (await told(world, "get", id="a"))["status"] == "open", "a call that failed changed nothing"
    assert (await told(world, "cancel", id="a", who="ann"))["note"] == "by ann"
    assert (await told(world, "get", id="a"))["status"] == "cancelled"
    assert [row["id"] for row in await told(world, "find", customer="ann")] == ["c"]


async def test_inserts_are_numbered_and_keep_the_kinds_of_their_arguments(world: World) -> None:
    assert await told(world, "add", customer="cy", total=3) == {"customer": "cy", "total": 3}
    assert await told(world, "add", customer="cy") == {"error": "the argument total is missing"}
    await told(world, "add", customer="cy", total=[1])
    assert await told(world, "get", id="n-2") == {}, "a row has the fields that were set"
    assert await told(world, "add_named", id="a") == {"error": "a is there"}


async def test_deleted_row_is_given_once_more_and_then_gone(world: World) -> None:
    assert (await told(world, "drop", id="b"))["total"] == 7
    assert await told(world, "drop", id="b") == {"error": "not found"}


def test_digest_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    one, two = load_table_file(written(here)), load_table_file(written(there))
    assert one.digest == two.digest
    (there / "orders.json").write_text(json.dumps(ORDERS[:2]))
    assert load_table_file(there / "world.yaml").digest != one.digest
    fewer = {"get": TOOLS["get"]}
    assert load_table_file(written(there, tools=fewer)).digest != one.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tools": {"x": {"do": "read", "table": "gone", "key": "$id"}}}, "not declared: gone"),
        ({"tools": {"x": {"do": "explode"}}}, "explode"),
        ({"tables": {"orders": {"file": "none.json"}}}, "none.json"),
        ({"tables": {"orders": {"file": "orders.json"}}}, "name of the field that is their key"),
        ({"extra": 1}, "extra"),
    ],
)
def test_file_that_cannot_be_used_is_an_operator_error_with_the_reason(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(OperatorError, match=said):
        load_table_file(written(tmp_path, **change))


async def test_world_of_the_how_to_answers_as_it_says(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "declare-a-world.md"
    file = tmp_path / "orders.yaml"
    file.write_text(page.read_text("utf-8").split("```text\n")[1].split("```")[0])
    (tmp_path / "orders.json").write_text('{"7": {"id": "7", "customer": "ann", "status": "open"}}')
    world = await load_table_file(file).start(0)
    assert await told(world, "find_orders", customer="ann") == [{"id": "7", "status": "open"}]
    assert (await told(world, "cancel_order", id="7"))["status"] == "cancelled"
    assert await told(world, "cancel_order", id="7") == {"error": "order 7 cannot be cancelled any more"}
    assert await told(world, "add_order", customer="bob") == {"customer": "bob", "status": "open"}
    assert (await told(world, "drop_order", id="order-1"))["customer"] == "bob"
    assert await told(world, "get_order", id="order-1") == {"error": "no order order-1"}
