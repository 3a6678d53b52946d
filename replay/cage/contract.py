"""What every cage does: run one command within limits, and certify what was asked, applied, used and why it ended.

Units: 1 MB = 1024 * 1024 bytes, times in seconds. A cage decides from its own evidence and tells the engine the
cause *before* it kills; an exit code or a signal is never turned into a cause afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from trajectory.runs import Certificate, KillCause, Limits

STDOUT_CAP_BYTES = 256 * 1024
STDERR_TAIL_BYTES = 16 * 1024


class StopRequest:
    """Lets somebody outside the cage end a run: a spent budget, a user who cancels.

    The first request stands, later ones change nothing. To be called on the event loop's thread; before the cage
    has started, it takes effect as soon as the agent has.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.cause: KillCause | None = None
        self.evidence = ""

    def stop(self, cause: KillCause, evidence: str) -> None:
        """Ask for the end of the run. The cage writes `cause` and `evidence` down, and then kills the whole tree."""
        if self.cause is None:
            self.cause, self.evidence = cause, evidence
            self._asked.set()

    async def wait(self) -> tuple[KillCause, str]:
        await self._asked.wait()
        assert self.cause is not None
        return self.cause, self.evidence


@dataclass(frozen=True, slots=True)
class CageSpec:
    """One command to run.

    `argv[0]` is looked up in the PATH of `env`, which is the whole environment of the agent: nothing is inherited.
    Of `limits`, a cage enforces `memory_mb`, `cpu_s` and `wall_s`; `egress_mb` and `max_retries` are the proxy's,
    which uses `stop` when one is spent. stdout goes to the file `stdout_path`, or else its last `stdout_cap_bytes`
    are kept; of stderr the last `stderr_cap_bytes`. stdin is empty.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    stdout_path: Path | None = None
    stdout_cap_bytes: int = STDOUT_CAP_BYTES
    stderr_cap_bytes: int = STDERR_TAIL_BYTES
    stop: StopRequest = field(default_factory=StopRequest)


@dataclass(frozen=True, slots=True)
class CageResult:
    """How it ended. `stdout` is empty where a file was asked for; `stdout_truncated` says that its start is missing.

    `certificate.kill_cause` is None for a command that ended by itself, whatever its exit code or signal. What
    daemons it left behind were killed, and are named in `certificate.notes`.
    """

    certificate: Certificate
    stdout: str
    stdout_truncated: bool = False


class Cage(Protocol):
    async def run(self, spec: CageSpec) -> CageResult:
        """Run `spec` to its end and return when no process of it is left.

        Causes: memory (the tree was above `memory_mb`), cpu_time (all processes together, the reaped ones
        included, used `cpu_s`), wall_time, or whatever `spec.stop` was given.

        Raises CageError if the command cannot be started (no such file, no such folder), if this system cannot
        carry the cage, or if the cage itself was lost; no process of the command is left then either. When
        the awaiting task is cancelled the tree is killed first.
        """
        ...
