"""The official node clients (tests/node): installed once from the lock file, each run in one process of its own."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "node"
_STAMP = FOLDER / "node_modules" / ".installed-from"
_INSTALL_S = 110


async def lived_through(script: str, told: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """As tests.support.python_clients has it. Skips where node's clients are not there to be run."""
    lines = await run(script, told)
    return {line.pop("cell"): line for line in lines}


async def run(script: str, given: Any, **environ: str) -> list[dict[str, Any]]:
    """The JSON lines that a script prints when it is given a value on its standard input."""
    node = await asyncio.to_thread(installed)
    process = await asyncio.create_subprocess_exec(
        node,
        str(FOLDER / script),
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, said.decode()
    return [json.loads(line) for line in out.splitlines()]


@cache
def installed() -> str:
    """Path of node, once the clients are installed as the lock file has them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("the official node clients need node and npm, which are not installed")
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    with (FOLDER / "package-lock.json").open("rb") as lock:  # one installation at a time, of several test workers
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _STAMP.is_file() or _STAMP.read_text() != wanted:
            _install(npm)
            _STAMP.write_text(wanted)
    return node


def _install(npm: str) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install the official node clients within {_INSTALL_S} s")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install the official node clients: {done.stderr.strip()[-300:]}")
