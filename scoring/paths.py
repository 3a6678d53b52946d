"""What a run did, call by call, as it is compared with another run: tools and arguments, free of spelling.

Arguments are read as JSON values: the order of keys and white space do not matter, 1 and 1.0 are one number, and true
is none. Arguments that are no JSON count as one text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from trajectory.runs import Run
from trajectory.trajectory import Step, Trajectory

Node = tuple[str, Any]
"""A JSON value that can be hashed: its type, and its content (of objects sorted pairs, of arrays nodes)."""


@dataclass(frozen=True, slots=True)
class Call:
    """`arguments` is the raw text. `is_error` is None where nobody says how the call ended; `step` is its place in the
    trajectory, where there is one.
    """

    tool: str
    arguments: str = "{}"
    is_error: bool | None = None
    step: int | None = None

    @property
    def node(self) -> Node:
        return read_arguments(self.arguments)


_SHORT = 1_000
_MOST_KEPT = 8_000
"""Characters of arguments up to which what was made of them is remembered."""

RawCalls = tuple[tuple[str, str], ...]
"""Tools with the raw text of their arguments: quickly hashed, so that equal runs need to be compared once."""


@dataclass(frozen=True, slots=True)
class Path:
    """The calls in their order, then what was said in the end, None if nothing was."""

    calls: tuple[Call, ...] = ()
    answer: str | None = None
    trajectory: str = ""
    """Id of the trajectory that it was read from."""


def path_of(run: Run, trajectory: Trajectory) -> Path:
    """Calls that the model proposed; where it proposes none (it writes them as text), those that crossed the wire.

    A refused call is on the path: the model chose it.
    """
    seen = _crossed(trajectory) or [Call(one.tool, one.arguments, one.is_error) for one in run.served]
    proposed = [
        Call(call.name, call.arguments, step=step.index)
        for step in trajectory.model_steps
        if step.last.answer is not None
        for call in step.last.answer.calls
    ]
    calls = _with_ends(proposed, seen) if proposed else seen
    return Path(tuple(calls), run.answer or last_words(trajectory), trajectory.id)


def raw_calls(calls: Iterable[Call]) -> RawCalls:
    return tuple([(call.tool, call.arguments) for call in calls])


def last_words(trajectory: Trajectory) -> str | None:
    """The text of the last model step, if it is not a call."""
    models = trajectory.model_steps
    answer = models[-1].last.answer if models else None
    return answer.text if answer is not None and answer.text.strip() and not answer.calls else None


def remembered[Found](compare: Callable[[RawCalls, RawCalls], Found]) -> Callable[[RawCalls, RawCalls], Found]:
    """`compare`, once for equal paths: trials of a task often repeat each other. Long ones are not kept in memory."""
    kept = lru_cache(maxsize=1 << 13)(compare)

    def found(actual: RawCalls, reference: RawCalls) -> Found:
        size = sum([len(raw) for calls in (actual, reference) for _, raw in calls])
        return (kept if size <= _MOST_KEPT else compare)(actual, reference)

    return found


def read_arguments(raw: str) -> Node:
    """Equal nodes are equal values. Nothing at all is {}; what is no JSON, or names a key twice, is a text."""
    return _read_short(raw) if len(raw) <= _SHORT else _read(raw)


def _read(raw: str) -> Node:
    if not raw.strip():
        return ("object", ())
    try:
        return _node(json.loads(raw, parse_float=Decimal, parse_constant=_no_json, object_pairs_hook=_unique))
    except (ValueError, ArithmeticError, RecursionError):
        return ("text", raw)


_read_short = lru_cache(maxsize=1 << 14)(_read)


def folded(node: Node) -> Node:
    """The same with texts compared loosely: case and runs of white space do not matter."""
    kind, content = node
    if kind == "text":
        return kind, " ".join(content.split()).casefold()
    if kind == "array":
        return kind, tuple(folded(one) for one in content)
    if kind == "object":
        return kind, tuple((key, folded(one)) for key, one in content)
    return node


def _node(value: Any) -> Node:
    if isinstance(value, dict):
        return "object", tuple(sorted((key, _node(one)) for key, one in value.items()))
    if isinstance(value, list):
        return "array", tuple(_node(one) for one in value)
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool) or value is None:
        return "word", value
    return "number", value  # int or Decimal: equal, and hashed alike, where they are the same number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _crossed(trajectory: Trajectory) -> list[Call]:
    return [_crossing(step) for step in trajectory.steps if step.kind == "tool" or step.last.tool is not None]


def _crossing(step: Step) -> Call:
    tool, status = step.last.tool, step.last.status
    name, arguments = (tool.name, tool.arguments) if tool else (f"{step.method} {step.path}", "")
    is_error = step.last.end != "complete" or (tool is not None and tool.is_error) or (status or 0) >= 400
    return Call(name, arguments, is_error, step.index)


def _with_ends(proposed: Sequence[Call], seen: Iterable[Call]) -> list[Call]:
    """How each proposed call ended, if the calls that were seen to end are the same ones in the same order."""
    ends = list(seen)
    if [call.tool for call in ends] != [call.tool for call in proposed]:
        return list(proposed)
    return [Call(a.tool, a.arguments, b.is_error, a.step) for a, b in zip(proposed, ends, strict=True)]
