from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.world.contract import World
from replay.world.simulator import SimulatorSnapshot, load_simulator


@pytest.fixture
def shop(tmp_path: Path) -> SimulatorSnapshot:
    (tmp_path / "orders.json").write_text('{"7": {"id": "7", "status": "open"}}')
    return load_simulator("tests.support.shop_world:Shop", {"data": str(tmp_path)})


async def told(world: World, tool: str, **arguments: object) -> str:
    return (await world.answer(tool, json.dumps(arguments))).text


async def test_reads_see_the_writes_of_their_own_run(shop: SimulatorSnapshot) -> None:
    world = await shop.start(0)
    assert json.loads(await told(world, "cancel_order", id="7"))["status"] == "cancelled"
    assert json.loads(await told(world, "get_order", id="7"))["status"] == "cancelled"
    assert await told(world, "cancel_order", id="7") == "cancelled already"


async def test_error_of_a_tool_is_a_result_and_not_missing(shop: SimulatorSnapshot) -> None:
    answer = await (await shop.start(0)).answer("get_order", '{"id": "9"}')
    assert (answer.text, answer.is_error, answer.served.fidelity) == ("no order 9", True, "simulated")


@pytest.mark.parametrize("arguments", ["{}", '{"id": "7", "colour": "red"}'])
async def test_arguments_that_do_not_fit_are_an_error_of_the_tool(shop: SimulatorSnapshot, arguments: str) -> None:
    answer = await (await shop.start(0)).answer("get_order", arguments)
    assert answer.is_error
    assert "argument" in answer.text


@pytest.mark.parametrize("tool", ["not_a_tool", "call", "load", "state", "row", "__init__", "no tool"])
async def test_only_marked_methods_are_tools(shop: SimulatorSnapshot, tool: str) -> None:
    answer = await (await shop.start(0)).answer(tool, "{}")
    assert answer.is_missing
    assert "it has cancel_order, draw_number, get_order, spoil" in answer.served.note


async def test_randomness_comes_from_the_seed(shop: SimulatorSnapshot) -> None:
    async def drawn(seed: int) -> list[str]:
        world = await shop.start(seed)
        return [await told(world, "draw_number") for _ in range(3)]

    assert await drawn(1) == await drawn(1)
    assert await drawn(1) != await drawn(2)


async def test_simulator_that_writes_into_the_snapshot_breaks_its_own_run_only(shop: SimulatorSnapshot) -> None:
    with pytest.raises(TypeError):
        await told(await shop.start(0), "spoil")
    assert json.loads(await told(await shop.start(0), "get_order", id="7"))["status"] == "open"
