"""The Ray executor on a cluster that it starts here: placing, replacing a killed worker, listening on loopback only."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from replay.conditions import Slot
from replay.executors.contract import Job
from replay.executors.ray import RayExecutor
from tests.support.scored_runs import run
from tests.support.slots import slot
from trajectory.runs import Run

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")


class Marked:
    """Leaves a mark for each run begun; the fourth kills its worker the first time, the sixth always."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def run(self, slot: Slot) -> Run:
        mark = self.folder / f"{slot.trial}-{os.getpid()}"
        again = any(self.folder.glob(f"{slot.trial}-*"))
        mark.touch()
        if slot.trial == 5 or (slot.trial == 3 and not again):
            os.kill(os.getpid(), signal.SIGKILL)
        return run(trial=slot.trial)

    def lost(self, slot: Slot, error: str) -> Run:
        return run(trial=slot.trial, status="harness_error", error=error)


@asynccontextmanager
async def marked(folder: Path) -> AsyncIterator[Marked]:
    yield Marked(folder)


def listening() -> set[str]:
    """Addresses on which Ray's processes, which this one started, listen."""
    found: set[str] = set()
    for process in psutil.Process().children(recursive=True):
        try:
            connections = process.net_connections("tcp")
        except psutil.Error:
            continue
        found |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    return found


def marks_in(folder: Path) -> list[str]:
    """The run of each mark."""
    return sorted(mark.name.split("-")[0] for mark in folder.iterdir())


async def test_killed_worker_is_replaced_and_its_run_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: dict[int, Run] = {}
    addresses: set[str] = set()

    async def keep(run: Run) -> None:
        kept[run.trial] = run
        addresses.update(await asyncio.to_thread(listening))

    executor = RayExecutor(partial(marked, tmp_path), workers=2)
    async with executor:
        await executor.run([Job(slot(n)) for n in range(8)], Marked(tmp_path), keep)
    assert {trial for trial, run in kept.items() if run.status == "finished"} == {0, 1, 2, 3, 4, 6, 7}
    assert [one.split(":")[0] for one in kept[3].earlier_errors] == ["the worker was lost"]
    assert kept[5].status == "harness_error"
    assert kept[5].error.count("the worker was lost") == 3
    marks = marks_in(tmp_path)
    assert sorted(set(marks)) == [str(n) for n in range(8)]
    assert (marks.count("3"), marks.count("5")) == (2, 3)
    assert addresses
    assert {ip.removeprefix("::ffff:") for ip in addresses} == {"127.0.0.1"}
    assert capsys.readouterr().out == ""


async def test_nothing_to_do_starts_nothing(tmp_path: Path) -> None:
    await RayExecutor(partial(marked, tmp_path)).run([], Marked(tmp_path), lambda _: asyncio.sleep(0))
    assert marks_in(tmp_path) == []
