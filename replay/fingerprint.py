"""What must be equal between the candidates of a bake-off, part by part, each as a digest.

No candidate goes into it, so it is the same for all by construction; each run takes it again from the running house
before it begins, and a run under changed conditions is a harness error, never a score.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from replay.task import Task
from replay.world.contract import Snapshot
from trajectory.errors import OperatorError
from trajectory.runs import Limits


def digest_of(value: object) -> str:
    """Of a JSON value: the same for the same content, whatever the order of keys."""
    content = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def fingerprint_parts(
    *,
    tasks: Sequence[Task],
    worlds: Mapping[str, Snapshot],
    limits: Limits,
    conditions: Mapping[str, str],
    loop: Mapping[str, object],
) -> dict[str, str]:
    """`worlds` by task id, for tasks in a closed loop; `conditions` as the house states them; `loop` its settings."""
    parts = {
        "tasks": digest_of({task.id: task.digest for task in tasks}),
        "tools": digest_of({task.id: task.tools for task in tasks}),
        "checks": digest_of({task.id: [check.model_dump() for check in task.checks] for task in tasks}),
        "mode": digest_of({task.id: task.mode for task in tasks}),
        "world": digest_of({task: world.digest for task, world in worlds.items()}),
        "limits": digest_of(limits.model_dump()),
        "loop": digest_of(dict(loop)),
        "ironcage": ironcage_version(),
        "python": platform.python_version(),
    }
    return {**parts, **{name: conditions[name] for name in sorted(conditions)}}


def fingerprint_of(parts: Mapping[str, str]) -> str:
    return digest_of(dict(parts))


def ironcage_version() -> str:
    try:
        return version("ironcage")
    except PackageNotFoundError:  # run from a source tree
        return "source tree"


def changed_parts(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Names of the parts that differ or are on one side only."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def require_equal(bakeoff: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """OperatorError if a bake-off that is continued was begun under other conditions."""
    changed = changed_parts(before, after)
    if changed:
        raise OperatorError(
            f"bake-off {bakeoff!r} was begun under other conditions: {', '.join(changed)} changed since",
            hint="start a new bake-off: runs are compared only if nothing but the model differs",
        )
