"""The portable cage, engine side: starts a supervisor for each run and turns what it reports into a certificate.

Memory and CPU time are sampled over the whole tree and enforced by killing it; the network is only advised, by
proxy variables and base URLs (an agent that ignores them is not held back, and the certificate's grade says so).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from replay.cage.contract import CageResult, CageSpec
from replay.cage.hints import runtime_hints
from trajectory.errors import CageError
from trajectory.runs import Certificate, KillCause, Limits

MARK = "IRONCAGE_CAGE"
"""Environment variable with a random token, the same in every process of one cage: lets the engine find what is
left when a supervisor was killed."""
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_MAX_LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Reports:
    """What a supervisor said; None where it did not come to it."""

    started: dict[str, Any] | None = None
    verdict: tuple[KillCause, str] | None = None
    done: dict[str, Any] | None = None
    error: str | None = None


class PortableCage:
    """Needs Linux (the process tree is read from /proc), no privileges and no extra package.

    Costs about 15 ms and 11 MB for each run, and up to 1/15 of a core while it samples. Between two samples (20 to
    50 ms) a fast allocator can overshoot its limit; `largest_process_mb` shows it afterwards.
    """

    def __init__(self, *, hints: bool = True, force_scan: bool = False) -> None:
        """`hints` sets heap sizes of language runtimes; `force_scan` ignores CONFIG_PROC_CHILDREN."""
        if not sys.platform.startswith("linux"):
            raise CageError(
                f"the portable cage cannot sample process trees on {sys.platform}",
                hint="run the bake-off on Linux: in a virtual machine, a container or a CI job",
            )
        self._hints = hints
        self._force_scan = force_scan

    async def run(self, spec: CageSpec) -> CageResult:
        hints = runtime_hints(spec.env, spec.limits.memory_mb) if self._hints else {}
        token = secrets.token_hex(12)
        env = {**spec.env, **hints, MARK: token}
        ours, theirs = socket.socketpair()
        with theirs:
            process = await self._start(ours, theirs)
        try:
            reports = await self._converse(ours, spec, env)
            await process.wait()
        except asyncio.CancelledError:
            # The connection is closed by now: the supervisor sees that, kills the tree and exits.
            await asyncio.shield(process.wait())
            raise
        assert process.stderr is not None
        complaint = (await process.stderr.read(65536)).decode("utf-8", "replace")
        if reports.error is not None:
            raise CageError(f"cannot start {spec.argv[0]!r} in {str(spec.cwd)!r}: {reports.error}")
        if reports.started is None or reports.done is None:
            swept = await asyncio.to_thread(sweep, token)
            raise CageError(
                f"the supervisor of a cage was lost (exit {process.returncode}); {swept} processes of it were killed",
                hint=complaint.strip()[-2000:],
            )
        return _result(spec, hints, reports)

    async def _start(self, ours: socket.socket, theirs: socket.socket) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(_SUPERVISOR),
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={},
                start_new_session=True,  # Ctrl-C is for the engine, which then ends its cages
            )
        except OSError as error:
            ours.close()
            raise CageError(f"cannot start a supervisor: {error}") from error

    async def _converse(self, ours: socket.socket, spec: CageSpec, env: Mapping[str, str]) -> _Reports:
        ours.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_MAX_LINE_BYTES)
        relay: asyncio.Task[None] | None = None
        try:
            writer.write(json.dumps(self._config(spec, env)).encode() + b"\n")
            relay = asyncio.create_task(_relay_stop(spec, writer))
            reports = _Reports()
            with contextlib.suppress(ConnectionError):  # a supervisor that died; told by what is missing
                async for line in reader:
                    reports = _heard(reports, json.loads(line))
            return reports
        finally:
            if relay is not None:
                relay.cancel()
            writer.close()

    def _config(self, spec: CageSpec, env: Mapping[str, str]) -> dict[str, object]:
        return {
            "argv": list(spec.argv),
            "cwd": str(spec.cwd),
            "env": dict(env),
            "memory_mb": spec.limits.memory_mb,
            "cpu_s": spec.limits.cpu_s,
            "wall_s": spec.limits.wall_s,
            "stdout_path": None if spec.stdout_path is None else str(spec.stdout_path),
            "stdout_cap": spec.stdout_cap_bytes,
            "stderr_cap": spec.stderr_cap_bytes,
            "force_scan": self._force_scan,
        }


async def _relay_stop(spec: CageSpec, writer: asyncio.StreamWriter) -> None:
    cause, evidence = await spec.stop.wait()
    writer.write(json.dumps({"stop": [cause, evidence]}).encode() + b"\n")


def _heard(reports: _Reports, message: dict[str, Any]) -> _Reports:
    verdict = reports.verdict
    if "verdict" in message:
        cause, evidence = message["verdict"]
        verdict = (cast(KillCause, cause), evidence)
    return _Reports(
        started=message.get("started", reports.started),
        verdict=verdict,
        done=message.get("done", reports.done),
        error=message.get("error", reports.error),
    )


def _result(spec: CageSpec, hints: Mapping[str, str], reports: _Reports) -> CageResult:
    started, done = reports.started, reports.done
    assert started is not None
    assert done is not None
    cause, evidence = reports.verdict or (None, "")
    certificate = Certificate(
        grade="portable",
        asked=spec.limits,
        applied=Limits(memory_mb=started["memory_mb"], cpu_s=started["cpu_s"], wall_s=started["wall_s"]),
        peak_memory_mb=max(done["peak_mb"], done["largest_mb"]),
        largest_process_mb=done["largest_mb"],
        cpu_s=done["cpu_s"],
        wall_s=done["wall_s"],
        exit_code=done["exit_code"],
        signal=done["signal"],
        kill_cause=cause,
        kill_evidence=evidence,
        stderr_tail=done["stderr"],
        notes=_notes(spec, hints, started, done),
    )
    return CageResult(certificate, done["stdout"], done["stdout_truncated"])


def _notes(spec: CageSpec, hints: Mapping[str, str], started: dict[str, Any], done: dict[str, Any]) -> tuple[str, ...]:
    notes = [
        f"memory and CPU sampled {done['samples']} times, every 20 to 50 ms (process tree by {started['sampler']})",
        "network advised by proxy variables and base URLs, not enforced",
        f"rlimits read back: core {started['rlimit_core']}, cpu {started['rlimit_cpu']} s for each process",
    ]
    if hints:
        notes.append("runtime hints set: " + " ".join(f"{name}={value}" for name, value in sorted(hints.items())))
    limit = spec.limits.memory_mb
    if limit is not None and done["largest_mb"] > limit and not done["signal"]:
        notes.append(f"one process reached {done['largest_mb']:.1f} MB between two samples, above the limit")
    if done["leftover"]:
        notes.append(f"{done['leftover']} processes left behind by the command were killed")
    if done["survivors"]:
        notes.append(f"could not be killed: processes {done['survivors']}")
    return tuple(notes)


def sweep(token: str) -> int:
    """Kill each process of this user whose environment carries `token`; returns how many there were."""
    mark = f"{MARK}={token}".encode()
    killed: set[int] = set()
    while True:
        found = {pid for pid in _own_pids() if mark in _environment(pid).split(b"\0")} - killed
        if not found:
            return len(killed)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= found


def _own_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
