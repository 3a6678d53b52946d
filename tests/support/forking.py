"""`ironcage` commands as forks of one process that has loaded them: Python and its imports cost half a second a start.

A command is a process of its own, with its own environment, folder, output, signals and end; only the loading is
shared. That a command also starts cold is held by tests/ironcage/test_main.py and by the demo's own test.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]


class Forked:
    """The part of asyncio.subprocess.Process that tests use, for a process whose parent is the one that loads."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader | None, stderr: asyncio.StreamReader) -> None:
        self.pid, self.stdout, self.stderr = pid, stdout, stderr
        self.returncode: int | None = None
        self._ending: asyncio.Task[int] | None = None

    def ends_with(self, reply: asyncio.StreamReader) -> None:
        self._ending = asyncio.create_task(self._hear(reply))

    async def wait(self) -> int:
        assert self._ending is not None
        return await self._ending

    async def communicate(self) -> tuple[bytes, bytes]:
        assert self.stdout is not None
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and the word of it is under way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _hear(self, reply: asyncio.StreamReader) -> int:
        self.returncode = int(await reply.read())
        return self.returncode


async def start(arguments: Sequence[str], cwd: Path, env: Mapping[str, str], *, speaks: bool = True) -> Forked:
    """`ironcage ARGUMENTS`, without standard input, and without standard output unless it `speaks`."""
    request = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
    out, out_in = os.pipe() if speaks else (None, os.open(os.devnull, os.O_WRONLY))
    err, err_in = os.pipe()
    reply, reply_in = os.pipe()
    given = (out_in, err_in, reply_in)
    try:
        socket.send_fds(_forks(), [json.dumps(request).encode()], given)
    finally:
        for end in given:
            os.close(end)
    told = await _reader(reply)
    pid = await told.readline()
    assert pid, "the process that loads ironcage has ended; it says why on standard error"
    process = Forked(int(pid), None if out is None else await _reader(out), await _reader(err))
    process.ends_with(told)
    return process


async def _reader(end: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(end, "rb", 0))
    return reader


@cache
def _forks() -> socket.socket:
    """Where to ask: one loading process for each test process, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours
