"""When two tool calls are the same call, and which recorded ones come nearest to one that is not recorded."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, Protocol


class Call(Protocol):
    @property
    def tool(self) -> str: ...
    @property
    def arguments(self) -> str: ...


def canonical_arguments(raw: str) -> str | None:
    """Equal for arguments that mean the same: key order, white space, escapes, 1 and 1.0, nothing and {}.

    None where that cannot be said: invalid JSON, a key that stands twice, NaN.
    """
    if not raw.strip():
        return "{}"
    try:
        value = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return value


def nearest[C: Call](tool: str, arguments: str, recorded: Sequence[C], count: int = 3) -> list[C]:
    """The `count` recorded calls that are most like this one, best first; calls of the same tool come first."""

    def likeness(call: C) -> tuple[bool, float, float]:
        same = call.tool == tool
        names = 1.0 if same else _ratio(tool, call.tool)
        return same, names, _ratio(_shape(arguments), _shape(call.arguments))

    return sorted(recorded, key=likeness, reverse=True)[:count]


def _shape(arguments: str) -> str:
    # Long documents would make the comparison quadratic; their beginnings tell them apart well enough.
    return (canonical_arguments(arguments) or arguments)[:2000]


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
