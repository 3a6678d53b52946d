from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.task import Task
from replay.world.declared import declared_kinds, open_worlds, read_worlds
from replay.world.recordings import task_tape
from tests.support.recordings import calls, record, result, said, user
from trajectory.errors import OperatorError
from trajectory.memory import MemoryStore

TASK = Task(id="order", name="order", input="", source="p1", wire="openai.chat", upstream="o", path="/")


def recorded(store: MemoryStore, name: str, number: int, source: str = "live") -> None:
    call = ("c", "look", json.dumps({"id": number}))
    record(store, name, [user("where?"), calls(call), result("c", f"found {number}"), said("ok")], task="order")
    if source != "live":
        store.launched(name, None, task="order", source=source)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    recorded(store, "p1", 1)
    recorded(store, "p2", 2)
    recorded(store, "r1", 3, "replay")
    return store


async def fidelities(store: MemoryStore, *worlds: str) -> list[str]:
    world = await open_worlds(worlds, store, [TASK])["order"].start(0)
    answers = [await world.answer("look", json.dumps({"id": number})) for number in (1, 2, 3)]
    return [one.served.fidelity for one in answers]


async def test_tape_is_the_source_alone_unless_a_pool_is_declared_and_never_holds_replays(store: MemoryStore) -> None:
    assert await fidelities(store, "tape") == ["exact", "missing", "missing"]
    assert await fidelities(store, "tape?pool=recorded") == ["exact", "pooled", "missing"]


def test_recording_that_began_after_the_bake_off_is_not_pooled(store: MemoryStore) -> None:
    began = store.trajectory("p2").started_at
    assert len(task_tape(store, TASK, pool="recorded", before_s=began).pool) == 0
    assert len(task_tape(store, TASK, pool="recorded", before_s=began + 1).pool) == 1


def test_digest_follows_pool_kinds_and_order(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    file = tmp_path / "w.yaml"
    file.write_text(json.dumps({"tables": {"t": {"file": "t.json"}}, "tools": {}}))
    declared = [
        ("tape",), ("tape?pool=recorded",), ("tape?writes=look",), (f"tables:{file}",), (f"tables:{file}", "tape"),
        ("tape", f"tables:{file}"),
    ]  # fmt: skip
    assert len({open_worlds(one, store, [TASK])["order"].digest for one in declared}) == len(declared)


def test_kinds_are_declared_by_tables_and_by_options_which_go_first(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "tables: {orders: {file: orders.json}}\n"
        "tools:\n"
        "  look: {do: read, table: orders, key: $id}\n"
        "  find: {do: filter, table: orders}\n"
        "  drop: {do: delete, table: orders, key: $id}\n"
    )
    tables = f"tables:{tmp_path / 'shop.yaml'}"
    assert declared_kinds((tables, "tape?pure=think&writes=find")) == {
        "look": "read",
        "find": "write",
        "drop": "write",
        "think": "pure",
    }
    assert declared_kinds(("tape",)) == {}


async def test_declared_kinds_hold_for_all_worlds_of_the_bake_off(store: MemoryStore) -> None:
    world = await open_worlds(["tape?reads=frob,grab&pure=look"], store, [TASK])["order"].start(0)
    world.witness("frob", "{}")
    world.witness("cancel", "{}")
    assert not (await world.answer("look", '{"id": 1}')).served.may_be_stale


@pytest.mark.parametrize(
    ("worlds", "said"),
    [
        ((), "needs a world"),
        (("moon",), "'moon' is no world"),
        ((":Class",), "is no world"),
        (("tape", "tape?pool=recorded"), "'tape' is declared twice"),
        (("tape?pool=all",), "unknown pool"),
        (("tape?speed=2",), "unknown option 'speed'"),
        (("tables:x.yaml?speed=2",), "unknown option 'speed'"),
        (("tape?pool",), "is no option"),
        (("tape?reads=a&writes=a",), "'a' is declared as"),
    ],
)
def test_declaration_that_cannot_be_carried_out_is_an_operator_error(worlds: tuple[str, ...], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        read_worlds(worlds)
