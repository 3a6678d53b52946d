"""What the kernel offers for cages. The portable cage needs none of it, and is coarser without."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from ironcage.doctor.report import Line, ok, warn

_PROBE = "import os; os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)"
_LIMITING = {"memory", "cpu", "pids"}


def check_cage(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> Iterator[Line]:
    if not proc.joinpath("self", "stat").exists():
        yield warn("cage", "there is no /proc here: runs cannot be measured", "replay agents on Linux")
        return
    yield _check_children(proc)
    yield _check_pss(proc)
    yield _check_cgroups(cgroups)
    yield _check_namespaces()


def _check_children(proc: Path) -> Line:
    if (proc / "self" / "task" / str(threading.get_native_id()) / "children").exists():
        return ok("cage: process tree", "the kernel lists children (CONFIG_PROC_CHILDREN)")
    hint = "nothing to do; on a machine with many processes each sample costs more"
    return warn("cage: process tree", "the kernel does not list children: all of /proc is read instead", hint)


def _check_pss(proc: Path) -> Line:
    if (proc / "self" / "smaps_rollup").exists():
        return ok("cage: memory", "shared pages are told apart (smaps_rollup)")
    hint = "memory of forked trees is counted too high; use a kernel from 4.14 on"
    return warn("cage: memory", "the kernel does not tell shared pages apart", hint)


def _check_cgroups(root: Path) -> Line:
    try:
        offered = set((root / "cgroup.controllers").read_text(encoding="ascii").split()) & _LIMITING
    except OSError:
        offered = set()
    version = "v2"
    if not offered:
        offered, version = {name for name in _LIMITING if (root / name).is_dir()}, "v1"
    if not offered:
        return warn("cage: cgroups", "no controller limits memory or CPU here", "limits are enforced by sampling")
    return ok("cage: cgroups", f"{version} offers {', '.join(sorted(offered))}")


def _check_namespaces() -> Line:
    """By doing it, in a process of its own: settings and security modules have too many ways to forbid it."""
    if not hasattr(os, "unshare"):
        return warn("cage: namespaces", "not known on this platform", "network limits of a cage are advisory")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", _PROBE], capture_output=True, timeout=10, check=False)
    if done.returncode == 0:
        return ok("cage: namespaces", "user and network namespaces can be made")
    hint = "network limits of a cage are advisory; unprivileged user namespaces would make them hold"
    return warn("cage: namespaces", "user namespaces cannot be made here", hint)
