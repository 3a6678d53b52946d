"""A tool server's process, started for one run and ended with it, children included."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Sequence
from typing import IO

from proxy.environment import without_approvals_token
from trajectory.errors import CageError

_MAX_LINE_BYTES = 64 * 1024 * 1024
_TAIL_BYTES = 2000
_GRACE_S = 2.0


class ServerProcess:
    """In a session of its own, so that a signal reaches all that it starts. IRONCAGE_SEED is the run's seed."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes], command: Sequence[str]) -> None:
        self._process, self._errors, self._command = process, errors, command
        self._draining: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, command: Sequence[str], seed: int) -> ServerProcess:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**without_approvals_token(os.environ), "IRONCAGE_SEED": str(seed)},
                start_new_session=True,
                limit=_MAX_LINE_BYTES,
            )
        except OSError as error:
            errors.close()
            raise CageError(f"cannot start the tool server {command[0]!r}: {error.strerror or error}") from None
        return cls(process, errors, command)

    async def line(self, timeout_s: float) -> bytes:
        """The next line that it writes. CageError where it ends or says nothing for so long."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise CageError(f"the tool server said nothing for {timeout_s:g} s{self._tail()}") from None
        except ValueError:
            raise CageError(f"the tool server wrote a line of more than {_MAX_LINE_BYTES} bytes") from None
        if not line:
            raise CageError(f"the tool server {self._command[0]!r} ended{self._tail()}")
        return line

    def drain(self) -> None:
        """Read and forget all that it still writes, so that it never waits for a reader."""
        self._draining = asyncio.create_task(self._drain())

    async def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionError):
            raise CageError(f"the tool server {self._command[0]!r} ended{self._tail()}") from None

    async def end(self) -> tuple[str, ...]:
        """Ask it to end, then end it; idempotent."""
        if self._errors.closed:
            return ()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            pass
        self._signal(signal.SIGKILL)  # also what it left behind
        await self._process.wait()
        if self._draining is not None:
            await self._draining
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._errors.close()
        return ()

    async def _drain(self) -> None:
        assert self._process.stdout is not None
        while await self._process.stdout.read(65536):
            pass

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _tail(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL_BYTES))
        said = self._errors.read().decode("utf-8", "replace").strip()
        return f": {said}" if said else ""
