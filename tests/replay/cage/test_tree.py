"""The sampler by itself, on processes that the test holds still."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from replay.cage import tree
from replay.cage.tree import MB, Process, Tree, descendants_by_children, descendants_by_scan, pss_bytes, read_proc
from tests.support.processes import PYTHON

HOARD = "hoard = bytearray(40 << 20)\n"
READY = "import os\nos.write(1, b'x')\nos.read(0, 1)\n"


@contextmanager
def held(program: str, ready: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has come to `READY` (as often as `ready` says) and waits there until the block ends."""
    with subprocess.Popen([*PYTHON, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(ready):
            assert process.stdout.read(1) == b"x"
        try:
            yield process
        finally:
            process.kill()


def test_both_ways_of_walking_find_the_same_processes() -> None:
    with held("import os\nfor _ in range(3): os.fork()\n" + READY, ready=8) as process:
        found = set(descendants_by_children(os.getpid()))
        assert process.pid in found
        below = descendants_by_children(process.pid)
        assert len(below) == 7
        assert sorted(below) == sorted(descendants_by_scan(process.pid))
        for pid in below:
            os.kill(pid, 9)


def test_what_a_process_holds_is_told_in_bytes() -> None:
    with held(HOARD + READY) as process:
        stat = Process(read_proc(f"/proc/{process.pid}/stat"))
        assert stat.parent == os.getpid()
        assert 40 * MB < pss_bytes(process.pid) <= stat.rss < 80 * MB


def test_process_that_has_ended_holds_nothing() -> None:
    # It was in the sample and is gone when its PSS is read: its old size must not count, or a run is killed for it.
    with held(HOARD + READY) as process:
        sampled = Tree()
        sampled.processes = {process.pid: Process(read_proc(f"/proc/{process.pid}/stat"))}
        assert sampled.read_pss() > 40 * MB
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert sampled.read_pss() == 0, "a zombie"
        process.wait()
        assert sampled.read_pss() == 0, "gone"


def test_process_whose_pss_cannot_be_read_counts_with_its_rss(monkeypatch: pytest.MonkeyPatch) -> None:
    real = read_proc
    monkeypatch.setattr(tree, "read_proc", lambda path: b"" if path.endswith("smaps_rollup") else real(path))
    with held(HOARD + READY) as process:
        assert pss_bytes(process.pid) == Process(real(f"/proc/{process.pid}/stat")).rss


def test_child_that_has_not_yet_become_its_own_program_is_not_counted_twice() -> None:
    with held(HOARD + READY) as process:
        stat = read_proc(f"/proc/{process.pid}/stat")
        sampled = Tree()
        twin = Process(stat)
        twin.parent = process.pid
        sampled.processes = {process.pid: Process(stat), -1: twin}
        assert not sampled._is_fresh_copy(sampled.processes[process.pid])
        assert sampled._is_fresh_copy(twin)


def with_cpu(*ticks: int) -> dict[int, Process]:
    stat = read_proc("/proc/self/stat")
    found = {}
    for pid, count in enumerate(ticks, start=1):
        found[pid] = Process(stat)
        found[pid].cpu_ticks = count
    return found


def test_cpu_time_never_falls_and_a_passing_dip_adds_nothing() -> None:
    sampled = Tree()
    for ticks in ([100, 50], [100], [160]):  # the child's 50 are missing once, then stand in its parent's account
        sampled.processes = with_cpu(*ticks)
        sampled._count_cpu()
    assert sampled.cpu_s == pytest.approx(160 / tree.TICKS)
    assert sampled.lost_s == 0


def test_cpu_time_that_vanished_for_good_is_kept() -> None:
    sampled = Tree()
    for ticks in ([100, 50], [100], [101], [102], [110]):
        sampled.processes = with_cpu(*ticks)
        sampled._count_cpu()
    assert sampled.cpu_s == pytest.approx((150 + 8) / tree.TICKS)
