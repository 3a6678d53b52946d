"""The supervisor by itself, spoken to over its socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from replay.cage import supervisor
from tests.support.processes import PYTHON, alive, wait_until_gone

FOREVER = "import signal\nwhile True: signal.pause()\n"
CONFIG: dict[str, Any] = {
    "argv": [*PYTHON, FOREVER],
    "cwd": "/",
    "env": {},
    "memory_mb": None,
    "cpu_s": None,
    "wall_s": None,
    "stdout_path": None,
    "stdout_cap": 100,
    "stderr_cap": 100,
}


def start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    with theirs:
        argv = [sys.executable, "-I", "-S", supervisor.__file__, str(theirs.fileno())]
        process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env={})
    return ours, process


def test_cause_is_told_before_anything_is_killed() -> None:
    ours, process = start()
    with ours, ours.makefile("rb") as heard:
        ours.sendall(json.dumps(CONFIG).encode() + b"\n")
        pid = json.loads(heard.readline())["started"]["pid"]
        # A verdict larger than any socket buffer: the supervisor is held in the middle of telling it.
        evidence = "e" * 4_000_000
        ours.sendall(json.dumps({"stop": ["retry_budget", evidence]}).encode() + b"\n")
        first = heard.read(1)
        assert alive(pid), "killed before the verdict was out"
        assert json.loads(first + heard.readline()) == {"verdict": ["retry_budget", evidence]}
        assert wait_until_gone(pid)
        assert json.loads(heard.readline())["done"]["signal"] == 9
    assert process.wait(20) == 0


def test_end_of_file_ends_the_tree() -> None:
    ours, process = start()
    with ours, ours.makefile("rb") as heard:
        ours.sendall(json.dumps(CONFIG).encode() + b"\n")
        pid = json.loads(heard.readline())["started"]["pid"]
        ours.shutdown(socket.SHUT_WR)
        assert json.loads(heard.readline()) == {"verdict": ["cancelled", "the engine went away"]}
    assert wait_until_gone(pid)
    assert process.wait(20) == 0


def test_engine_that_goes_away_before_saying_anything_leaves_no_supervisor() -> None:
    ours, process = start()
    ours.close()
    assert process.wait(20) == 0


def test_supervisor_loads_nothing_heavy() -> None:
    # Its resident size is the floor of every agent's ru_maxrss.
    folder = Path(supervisor.__file__).parent
    sources = "".join((folder / name).read_text() for name in ("supervisor.py", "tree.py"))
    for heavy in ("asyncio", "subprocess", "pathlib", "dataclasses", "pydantic"):
        assert f"import {heavy}" not in sources
