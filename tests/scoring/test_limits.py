from __future__ import annotations

from typing import Any

import pytest

from scoring.limits import limit_hit
from tests.support.scored_runs import certificate
from trajectory.runs import Limits

LIMITS = Limits(memory_mb=512, cpu_s=30, wall_s=60)


@pytest.mark.parametrize(
    ("fields", "resource", "code"),
    [
        ({"kill_cause": "memory", "kill_evidence": "tree 520.1 MB > 512 MB"}, "memory", "oom"),
        ({"kill_cause": "cpu_time"}, "time", "cpu"),
        ({"kill_cause": "wall_time"}, "time", "wall"),
        ({"largest_process_mb": 512.1, "exit_code": 0}, "memory", "oom_posthoc"),
        ({"peak_memory_mb": 600.0, "exit_code": 0}, "memory", "oom_posthoc"),
        ({"exit_code": 1, "stderr_tail": "Traceback ...\nMemoryError\n"}, "memory", "oom_runtime"),
        ({"exit_code": 134, "stderr_tail": "FATAL ERROR: JavaScript heap out of memory"}, "memory", "oom_runtime"),
        ({"exit_code": 1, "stderr_tail": "java.lang.OutOfMemoryError: Java heap space"}, "memory", "oom_runtime"),
        ({"signal": 24}, "time", "cpu"),
        ({"exit_code": 152}, "time", "cpu"),
    ],
)
def test_hit_limits_are_found_by_their_evidence(fields: dict[str, Any], resource: str, code: str) -> None:
    hit = limit_hit(certificate(LIMITS, **fields))
    assert hit is not None
    assert (hit.resource, hit.code) == (resource, code)
    assert hit.evidence


@pytest.mark.parametrize(
    "fields",
    [
        {"exit_code": 0, "peak_memory_mb": 512.0, "largest_process_mb": 300.0},
        {"exit_code": 0, "stderr_tail": "MemoryError"},
        {"exit_code": 1, "stderr_tail": "docs about MemoryError and swap"},
        {"kill_cause": "egress_budget"},
        {"kill_cause": "cancelled"},
        {"signal": 9},
    ],
)
def test_nothing_else_counts_as_a_hit(fields: dict[str, Any]) -> None:
    assert limit_hit(certificate(LIMITS, **fields)) is None


def test_without_a_limit_no_peak_is_too_high() -> None:
    assert limit_hit(certificate(peak_memory_mb=9000.0)) is None
