"""Which limit a run hit, whatever its checks said.

A hit and a failure are two axes: in public logs a fifth of the agents that timed out still passed their checks.
Penalties count hits, success counts outcomes.
"""

from __future__ import annotations

import re
from typing import Literal

from trajectory.runs import Certificate, Frozen, KillCause

Resource = Literal["memory", "time"]

SUPERVISOR_KILLS: dict[KillCause, tuple[Literal["infra", "timeout", "policy", "agent"], str]] = {
    "memory": ("infra", "oom"),
    "cpu_time": ("timeout", "cpu"),
    "wall_time": ("timeout", "wall"),
    "egress_budget": ("policy", "egress_budget_exhausted"),
    "retry_budget": ("policy", "retry_budget_exhausted"),
    "cancelled": ("infra", "cancelled"),
    "tape_miss": ("agent", "tape_miss"),
}
"""Fault class and code of each cause that the supervisor writes before it kills."""

OOM_CODES = frozenset({"oom", "oom_posthoc", "oom_runtime"})

# A line that a runtime prints when it dies for want of memory, not a mention of it somewhere in a log.
_RUNTIME_OOM = re.compile(
    r"^MemoryError\b"
    r"|JavaScript heap out of memory"
    r"|\bjava\.lang\.OutOfMemoryError\b"
    r"|\bstd::bad_alloc\b"
    r"|^fatal error: runtime: out of memory"
    r"|^fatal error: runtime: cannot allocate memory"
    r"|^memory allocation of \d+ bytes failed",
    re.MULTILINE,
)
_SIGXCPU = 24


class LimitHit(Frozen):
    """`code` is that of the fault it makes if the run did not pass; `evidence` quotes the certificate's fields."""

    resource: Resource
    code: str
    evidence: str


def limit_hit(certificate: Certificate) -> LimitHit | None:
    """The memory or time limit that this run hit, by the strongest evidence there is."""
    cause = certificate.kill_cause
    if cause is not None:
        fault_class, code = SUPERVISOR_KILLS[cause]
        if cause in ("memory", "cpu_time", "wall_time"):
            resource: Resource = "time" if fault_class == "timeout" else "memory"
            return LimitHit(resource=resource, code=code, evidence=kill_evidence(certificate))
        return None
    return _over_afterwards(certificate) or _self_reported(certificate) or _sigxcpu(certificate)


def near_ceiling(share: float | None, start: float) -> float | None:
    """How far a peak of this share of the limit reaches into the zone below it: 0 up to `start`, 1 at the limit."""
    return None if share is None else min(1.0, max(0.0, (share - start) / (1 - start)))


def kill_evidence(certificate: Certificate) -> str:
    parts = [f"certificate.kill_cause {certificate.kill_cause}"]
    if certificate.kill_evidence:
        parts.append(certificate.kill_evidence)
    return ": ".join(parts)


def ended_badly(certificate: Certificate) -> bool:
    """The process ended by a signal or with a non-zero code; False where there was no process."""
    return bool(certificate.signal) or bool(certificate.exit_code)


def killed_by(certificate: Certificate, number: int) -> bool:
    """By this signal: as the kernel tells a parent, or as a shell does (128 + number)."""
    return certificate.signal == number or certificate.exit_code in (-number, 128 + number)


def _over_afterwards(certificate: Certificate) -> LimitHit | None:
    """A peak between two samples is only seen afterwards: the kernel's own limit would have ended the run."""
    limit = certificate.asked.memory_mb
    if limit is None:
        return None
    for name, peak in (
        ("largest_process_mb", certificate.largest_process_mb),
        ("peak_memory_mb", certificate.peak_memory_mb),
    ):
        if peak is not None and peak > limit:
            evidence = f"certificate.{name} {peak:.1f} MB > limit {limit:g} MB, seen after the run"
            return LimitHit(resource="memory", code="oom_posthoc", evidence=evidence)
    return None


def _self_reported(certificate: Certificate) -> LimitHit | None:
    if not ended_badly(certificate):
        return None
    found = _RUNTIME_OOM.search(certificate.stderr_tail)
    if found is None:
        return None
    evidence = f"certificate.stderr_tail: {found.group(0)!r} before the process ended"
    return LimitHit(resource="memory", code="oom_runtime", evidence=evidence)


def _sigxcpu(certificate: Certificate) -> LimitHit | None:
    if not killed_by(certificate, _SIGXCPU):
        return None
    return LimitHit(resource="time", code="cpu", evidence="ended by SIGXCPU (the kernel's CPU time limit)")
