"""The process tree below a supervisor: who is in it, and what it uses. Linux; standard library only.

1 MB = 1024 * 1024 bytes. RSS counts shared pages once for each process, so the sum over a forked tree lies upwards
(548 MB for a true 228); PSS does not, but costs 15 times as much to read.
"""

from __future__ import annotations

import os
import resource

MB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
NEAR_LIMIT = 0.9
"""Of the memory limit: above it PSS is read in each sample."""


class Process:
    """One line of /proc/PID/stat (proc_pid_stat(5)); fields count from the one after the name."""

    __slots__ = ("cpu_ticks", "image", "parent", "rss")

    def __init__(self, stat: bytes) -> None:
        f = stat[stat.rindex(b")") + 2 :].split()
        self.parent = int(f[1])
        self.cpu_ticks = int(f[11]) + int(f[12]) + int(f[13]) + int(f[14])
        self.rss = int(f[21]) * PAGE
        self.image = (f[20], f[21], f[23], f[25])


def read_proc(path: str) -> bytes:
    """Empty for a process that is gone or not ours."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)


def descendants_by_children(root: int) -> list[int]:
    found, open_pids = [], [root]
    while open_pids:
        pid = open_pids.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (pathlib would cost a megabyte)
        except OSError:
            continue
        for thread in threads:
            children = [int(c) for c in read_proc(f"/proc/{pid}/task/{thread}/children").split()]
            found += children
            open_pids += children
    return found


def descendants_by_scan(root: int) -> list[int]:
    """For kernels without CONFIG_PROC_CHILDREN: costs as many reads as the machine has processes."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (stat := read_proc(f"/proc/{name}/stat")):
            children.setdefault(Process(stat).parent, []).append(int(name))
    found, open_pids = [], [root]
    while open_pids:
        below = children.get(open_pids.pop(), [])
        found += below
        open_pids += below
    return found


def pss_bytes(pid: int) -> int:
    """What `pid` holds now; its RSS where the kernel does not tell us its PSS, 0 if it has ended meanwhile."""
    for line in read_proc(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    stat = read_proc(f"/proc/{pid}/stat")
    return Process(stat).rss if stat else 0


class Tree:
    """What the agent and all that came from it use, by samples and by what `wait4` says afterwards."""

    def __init__(self, force_scan: bool = False) -> None:
        self.pid = os.getpid()
        listed = os.path.exists(f"/proc/self/task/{self.pid}/children")  # noqa: PTH110
        self.sampler = "children" if listed and not force_scan else "scan"
        self.processes: dict[int, Process] = {}
        self.rss = self.peak = self.largest = 0
        self.pss: int | None = None
        self.samples = 0
        self.reaped_s = self.cpu_s = self.lost_s = 0.0
        self._pss_at, self._pss_rss, self._dips = -1.0, 0, 0

    def pids(self) -> list[int]:
        return descendants_by_children(self.pid) if self.sampler == "children" else descendants_by_scan(self.pid)

    def sample(self, memory_limit: float | None, now: float) -> None:
        stats = ((pid, read_proc(f"/proc/{pid}/stat")) for pid in self.pids())
        self.processes = {pid: Process(stat) for pid, stat in stats if stat}
        self.samples += bool(self.processes)
        self._count_cpu()
        self.rss = sum(p.rss for p in self.processes.values() if not self._is_fresh_copy(p))
        self.pss = None
        near = memory_limit is not None and self.rss > NEAR_LIMIT * memory_limit
        several = len(self.processes) > 1
        grown = self.rss > 1.05 * self._pss_rss or now - self._pss_at > 0.25
        # A new peak of several processes is worth a true reading, also far from the limit.
        if near or (several and self.rss > self.peak and grown):
            self.pss = self.read_pss()
            if several and self.pss > self.peak:
                # Processes are read one after the other: one that forks in between is seen whole and then halved.
                self.pss = min(self.pss, self.read_pss())
            self._pss_at, self._pss_rss = now, self.rss
        if self.pss is not None:
            self.peak = max(self.peak, self.pss)
        elif not several:
            self.peak = max(self.peak, self.rss)

    def read_pss(self) -> int:
        """Over the processes of the last sample, as they are now."""
        return sum(pss_bytes(pid) for pid in self.processes)

    def _is_fresh_copy(self, process: Process) -> bool:
        # Between vfork (or fork) and exec a child shows its parent's pages as its own.
        parent = self.processes.get(process.parent)
        return parent is not None and parent.image == process.image

    def _count_cpu(self) -> None:
        live = sum(p.cpu_ticks for p in self.processes.values()) / TICKS
        total = self.reaped_s + live + self.lost_s
        # One dip is a child that was reaped while we looked (parents are read first): the next sample has it again.
        # A lasting one is children of a parent that ignores SIGCHLD: they vanish from every account.
        self._dips = self._dips + 1 if total < self.cpu_s else 0
        if self._dips == 3:
            self.lost_s += self.cpu_s - total
        self.cpu_s = max(self.cpu_s, total)

    def reaped(self, usage: resource.struct_rusage) -> None:
        """`usage` of wait4 includes what the process itself had waited for."""
        self.reaped_s += usage.ru_utime + usage.ru_stime
        self.largest = max(self.largest, usage.ru_maxrss * 1024)

    def ended(self) -> None:
        """All is reaped: what wait4 said replaces the last sample."""
        self.processes = {}
        self._count_cpu()
