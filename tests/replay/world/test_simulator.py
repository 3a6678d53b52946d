from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay.world.simulator import SimulatorSnapshot, Start, load_simulator
from replay.world.tape import Recording
from trajectory.errors import OperatorError

DESK = """
from rates import rate

class Desk:
    @classmethod
    def load(cls, options):
        return {"opened": options.get("opened", "never")}

    def __init__(self, start):
        self.start = start

    def call(self, tool, arguments):
        if tool == "text":
            return "as it stands"
        if tool == "start":
            return [self.start.seed, self.start.task, self.start.data, len(self.start.recordings)]
        if tool == "bad":
            return {1, 2}
        raise LookupError("a defect")
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "desk.py").write_text(DESK)
    (tmp_path / "rates.py").write_text("def rate():\n    return 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("desk", "rates"):
        sys.modules.pop(name, None)


def fresh(options: dict[str, str] | None = None) -> SimulatorSnapshot:
    for name in ("desk", "rates"):
        sys.modules.pop(name, None)
    return load_simulator("desk:Desk", options or {})


async def test_class_is_found_in_the_working_directory_and_starts_from_what_was_declared(desk: Path) -> None:
    loaded = fresh({"opened": "9:00"})
    begin = Start(0, "t1", loaded.start_from.options, loaded.start_from.data, (Recording("a", "{}", "b"),))
    world = await SimulatorSnapshot(loaded.make, begin, loaded.content).start(7)
    assert (await world.answer("start", "{}")).text == '[7, "t1", {"opened": "9:00"}, 1]'
    assert (await world.answer("text", "")).text == "as it stands"


@pytest.mark.parametrize(("tool", "error"), [("bad", TypeError), ("crash", LookupError)])
async def test_defect_of_a_simulator_is_raised_and_not_told_to_the_model(
    desk: Path, tool: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await (await fresh().start(0)).answer(tool, "{}")


def test_digest_follows_source_imports_options_and_the_files_that_they_name(desk: Path) -> None:
    data = desk / "data"
    data.mkdir()
    (data / "x.json").write_text("{}")
    seen = [fresh({"data": str(data)}).digest]
    assert fresh({"data": str(data)}).digest == seen[0]
    moved = data.rename(desk / "elsewhere")
    assert fresh({"data": str(moved)}).digest == seen[0], "the content counts, not the place"
    (moved / "x.json").write_text("[]")
    seen.append(fresh({"data": str(moved)}).digest)
    (desk / "rates.py").write_text("def rate():\n    return 2\n\n")
    seen.append(fresh({"data": str(moved)}).digest)
    (desk / "desk.py").write_text(DESK + "\n# another one\n")
    seen.append(fresh({"data": str(moved)}).digest)
    seen.append(fresh({"data": "a text"}).digest)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere:Desk", "no simulator nowhere:Desk"),
        ("desk:Gone", "no simulator desk:Gone"),
        ("desk:rate", "is no simulator"),
        ("tests.support.shop_world:Shop", "the option data=FOLDER is missing"),
    ],
)
def test_simulator_that_cannot_be_loaded_is_an_operator_error(desk: Path, name: str, said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        load_simulator(name, {})
