"""When two tool calls are the same call, and which recorded ones come nearest to one that is not recorded."""

from __future__ import annotations

import difflib
import json
from collections import Counter
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
    distinct = list({(one.tool, one.arguments): one for one in reversed(recorded)}.values())[::-1]
    same = [one for one in distinct if one.tool == tool]
    found = _most_alike(arguments, same, count)
    if len(found) < count:
        others = [one for one in distinct if one.tool != tool]
        likeness = {one.tool: _ratio(tool, one.tool) for one in others}
        nearest_names = sorted(others, key=lambda one: -likeness[one.tool])[: 2 * count]
        rest = _most_alike(arguments, nearest_names, 2 * count)
        found += sorted(rest, key=lambda one: -likeness[one.tool])[: count - len(found)]
    return found


def _most_alike[C: Call](arguments: str, recorded: Sequence[C], count: int) -> list[C]:
    """Of many, those are compared in order of letters that share most letters at all, which is quick to tell."""
    wanted = _shape(arguments)
    letters = Counter(wanted)

    def shared(call: C) -> float:
        other = _shape(call.arguments)
        return (letters & Counter(other)).total() / (len(wanted) + len(other) or 1)

    likely = sorted(recorded, key=shared, reverse=True)[: 2 * count]
    return sorted(likely, key=lambda one: _likeness(wanted, _shape(one.arguments)), reverse=True)[:count]


def _likeness(one: str, other: str) -> float:
    """Long documents would make the comparison quadratic: where they part, a little of them tells enough."""
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    size = len(one) + len(other) or 1
    return (2 * start + _ratio(one[start : start + 80], other[start : start + 80]) * (size - 2 * start)) / size


def _shape(arguments: str) -> str:
    return (canonical_arguments(arguments) or arguments)[:2000]


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
