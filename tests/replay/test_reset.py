"""What an agent changes is put back before each trial, from what it was when the bake-off began."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replay.bakeoff import run_bakeoff, run_together
from replay.cage.process import PortableCage
from replay.conditions import Around
from replay.executors.local import LocalExecutor
from replay.plan import Plan
from replay.reset import take_snapshot, tree_digest
from replay.task import AgentCommand, CommandCheck, Task
from tests.support.processes import PYTHON
from tests.support.recordings import ScriptedHouse
from trajectory.errors import OperatorError
from trajectory.memory import MemoryStore
from trajectory.runs import Candidate

CANDIDATES = tuple(Candidate(name=name, upstream="openai", model=f"{name}-1") for name in ("a", "b"))


def notes(folder: Path) -> Path:
    """A memory of an agent: files, a link, an executable, a folder with nothing in it."""
    memory = folder / "memory"
    (memory / "empty").mkdir(parents=True)
    (memory / "notes.txt").write_text("begun\n")
    (memory / "tool").write_text("#!")
    (memory / "tool").chmod(0o755)
    (memory / "link").symlink_to("notes.txt")
    return memory


def test_what_was_changed_added_and_removed_is_as_it_was(tmp_path: Path) -> None:
    memory, single, absent = notes(tmp_path), tmp_path / "state.json", tmp_path / "cache"
    single.write_text("{}")
    before = tree_digest(memory)
    reset = take_snapshot([memory, single, absent], tmp_path / "kept")
    (memory / "notes.txt").write_text("more\n")
    (memory / "tool").chmod(0o644)
    (memory / "link").unlink()
    (memory / "new").mkdir()
    single.unlink()
    absent.write_text("made by the agent")
    assert tree_digest(memory) != before
    reset.restore()
    assert tree_digest(memory) == before
    assert (single.read_text(), absent.exists()) == ("{}", False)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["kept", "memory", "state.json"]
    reset.discard()
    assert not (tmp_path / "kept").exists()


def test_a_start_after_a_kill_finds_the_first_snapshot_and_not_what_a_trial_left(tmp_path: Path) -> None:
    memory = notes(tmp_path)
    first = take_snapshot([memory], tmp_path / "kept")
    (memory / "notes.txt").write_text("of a trial that was killed\n")
    again = take_snapshot([memory], tmp_path / "kept")
    assert again.digest == first.digest
    again.restore()
    assert (memory / "notes.txt").read_text() == "begun\n"
    with pytest.raises(OperatorError, match="begun with other files"):
        take_snapshot([memory, tmp_path / "x"], tmp_path / "kept")


def test_half_a_snapshot_is_taken_anew(tmp_path: Path) -> None:
    memory = notes(tmp_path)
    whole = take_snapshot([memory], tmp_path / "kept")
    (tmp_path / "kept" / "manifest.json").unlink()
    (tmp_path / "kept" / "0" / "notes.txt").unlink()
    assert take_snapshot([memory], tmp_path / "kept").digest == whole.digest


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    one, other = notes(tmp_path / "1"), notes(tmp_path / "2")
    assert take_snapshot([one], tmp_path / "k1").digest == take_snapshot([other], tmp_path / "k2").digest
    (other / "tool").chmod(0o700)
    assert take_snapshot([other], tmp_path / "k3").digest != take_snapshot([one], tmp_path / "k4").digest


def test_what_had_better_not_be_replaced_is_refused(tmp_path: Path) -> None:
    inner = notes(tmp_path)
    for paths in ([Path("/")], [Path.home()], [tmp_path], [inner, inner / "notes.txt"]):
        with pytest.raises(OperatorError, match="--reset"):
            take_snapshot(paths, tmp_path / "kept")


PROGRAM = "log = open('memory/notes.txt', 'a'); log.write('seen\\n')"
JUDGE = "import sys; sys.exit(open('memory/notes.txt').read() != 'begun\\nseen\\n')"


def plan(folder: Path, **rest: Any) -> Plan:
    task = Task(
        id="t", name="t", input="", source="prod", wire="openai.chat", upstream="openai", path="/v1", model="m",
        launch=AgentCommand(command=(*PYTHON, PROGRAM), cwd=str(folder)),
        checks=(CommandCheck(command=(*PYTHON, JUDGE)),),
    )  # fmt: skip
    fields = {"reset": (folder / "memory",), "snapshot": folder / "kept", **rest}
    return Plan(id="b1", candidates=CANDIDATES, tasks=(task,), trials=2, reference=None, **fields)


async def test_each_trial_begins_with_what_the_bake_off_began_with(tmp_path: Path) -> None:
    memory, house = notes(tmp_path), ScriptedHouse(MemoryStore())
    before = tree_digest(memory)
    cage, executor = PortableCage(), LocalExecutor(cpus=2)
    bakeoff = await run_bakeoff(plan(tmp_path), house, cage=cage, executor=executor)
    assert [run.checks[0].passed for run in house.store.runs("b1")] == [True] * 4
    assert tree_digest(memory) == before
    assert not (tmp_path / "kept").exists()
    (memory / "notes.txt").write_text("something else\n")
    with pytest.raises(OperatorError, match="reset changed since"):
        await run_bakeoff(plan(tmp_path), house, cage=cage, executor=executor)
    assert not (tmp_path / "kept").exists()
    assert "reset" in bakeoff.fingerprint_parts


async def test_bake_offs_that_run_together_share_one_snapshot(tmp_path: Path) -> None:
    memory, house = notes(tmp_path), ScriptedHouse(MemoryStore())
    before = tree_digest(memory)
    plans = [replace(plan(tmp_path), id=name) for name in ("b1", "b2")]
    await run_together(plans, Around(house, PortableCage()), LocalExecutor(cpus=4))
    runs = [run for one in plans for run in house.store.runs(one.id)]
    assert [run.checks[0].passed for run in runs] == [True] * 8, "never two at once, or one would see the other"
    assert (tree_digest(memory), (tmp_path / "kept").exists()) == (before, False)


async def test_without_a_reset_trials_see_each_other(tmp_path: Path) -> None:
    """The fault that this is against."""
    notes(tmp_path)
    house = ScriptedHouse(MemoryStore())
    await run_bakeoff(plan(tmp_path, reset=()), house, cage=PortableCage(), executor=LocalExecutor(cpus=1))
    assert sum(run.checks[0].passed is True for run in house.store.runs("b1")) == 1
