"""Heap sizes that language runtimes would read from a container's limit, which a portable cage does not have.

In a 256 MB cgroup the JVM and Node size themselves to it; in a cage without one they see the whole host and take
gigabytes, so that the same agent would die differently. What was set is written into the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def runtime_hints(env: Mapping[str, str], memory_mb: float | None) -> dict[str, str]:
    """Variables to add to `env`; empty without a memory limit. What the operator set already is left alone."""
    if memory_mb is None:
        return {}
    whole = max(1, int(memory_mb))
    hints: dict[str, str] = {}
    if "max-old-space-size" not in env.get("NODE_OPTIONS", ""):
        hints["NODE_OPTIONS"] = _appended(env, "NODE_OPTIONS", f"--max-old-space-size={whole}")
    if not any(flag in env.get("JAVA_TOOL_OPTIONS", "") for flag in ("MaxRAM", "-Xmx")):
        hints["JAVA_TOOL_OPTIONS"] = _appended(env, "JAVA_TOOL_OPTIONS", f"-XX:MaxRAM={whole}m")
    if "GOMEMLIMIT" not in env:
        # Go collects harder as it comes near; a tenth is left for what its heap does not count.
        hints["GOMEMLIMIT"] = f"{max(1, whole * 9 // 10)}MiB"
    hints.update({name: "1" for name in _THREADS if name not in env})
    return hints


def _appended(env: Mapping[str, str], name: str, option: str) -> str:
    return f"{env[name]} {option}" if env.get(name) else option
