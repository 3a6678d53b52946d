"""Waiting for processes by their file descriptors, never by the clock."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

PYTHON = (sys.executable, "-I", "-S", "-c")


def alive(pid: int) -> bool:
    """Running: neither gone nor a zombie nor stopped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"T", b"X")


def wait_until_gone(pid: int, timeout_s: float = 20.0) -> bool:
    """Whether process `pid` ended; True at once if there is none."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)
