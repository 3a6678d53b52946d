from __future__ import annotations

from collections.abc import Sequence

from replay.world.chain import Chain
from replay.world.contract import World
from replay.world.kinds import ToolKinds
from replay.world.simulator import SimulatorSnapshot, Start, UnknownToolError
from replay.world.tape import Recording, Tape


class Counter:
    """Knows two tools of three."""

    def __init__(self, start: Start) -> None:
        self.count = 0

    def call(self, tool: str, arguments: object) -> object:
        if tool not in ("add_one", "get_count"):
            raise UnknownToolError("it has add_one, get_count")
        self.count += tool == "add_one"
        return self.count


SIMULATOR = SimulatorSnapshot(Counter, Start(0), "c", ToolKinds())
TAPE = Tape(
    (
        Recording("get_count", "{}", "99"),
        Recording("get_rate", "{}", "1.1"),
        Recording("set_rate", "{}", "ok"),
        Recording("add_one", "{}", "never asked"),
    )
)


async def told(world: World, tools: Sequence[str]) -> list[tuple[str, str, bool]]:
    answers = [await world.answer(tool, "{}") for tool in tools]
    return [(one.text, one.served.fidelity, one.served.may_be_stale) for one in answers]


async def test_first_world_that_has_an_answer_gives_it_in_the_declared_order() -> None:
    first = await told(await Chain((SIMULATOR, TAPE)).start(0), ["get_count", "get_rate"])
    assert first == [("0", "simulated", False), ("1.1", "exact", False)]
    other = await told(await Chain((TAPE, SIMULATOR)).start(0), ["get_count", "get_rate"])
    assert other == [("99", "exact", False), ("1.1", "exact", False)]


async def test_miss_of_all_is_one_miss_that_tells_what_each_said() -> None:
    answer = await (await Chain((SIMULATOR, TAPE)).start(0)).answer("fly", "{}")
    assert answer.is_missing
    assert "the simulator has no tool fly: it has add_one, get_count" in answer.served.note
    assert "nearest recordings" in answer.served.note


async def test_tape_hears_of_writes_that_the_simulator_answered() -> None:
    world = await Chain((SIMULATOR, TAPE)).start(0)
    assert await told(world, ["add_one", "get_rate"]) == [("1", "simulated", False), ("1.1", "exact", True)]


async def test_simulator_says_that_it_did_not_see_a_write_from_the_tape() -> None:
    world = await Chain((SIMULATOR, TAPE)).start(0)
    assert await told(world, ["get_rate", "get_count"]) == [("1.1", "exact", False), ("0", "simulated", False)]
    assert (await told(world, ["set_rate", "get_count"]))[1] == ("0", "simulated", True)


async def test_write_that_nobody_could_answer_leaves_every_later_read_in_doubt() -> None:
    world = await Chain((TAPE,)).start(0)
    assert (await told(world, ["get_rate", "delete_all", "get_rate"]))[2] == ("1.1", "exact", True)


async def test_certificate_hears_what_the_tape_was_not_asked_for() -> None:
    world = await Chain((SIMULATOR, TAPE)).start(0)
    await told(world, ["get_rate", "set_rate"])
    assert await world.close() == ("recorded results that no call asked for: 2 (add_one, get_count)",)


def test_digest_follows_the_links_and_their_order() -> None:
    digests = {Chain(links).digest for links in ((TAPE,), (SIMULATOR,), (SIMULATOR, TAPE), (TAPE, SIMULATOR))}
    assert len(digests) == 4
