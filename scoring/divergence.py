"""Where a run parts from the reference path, and how far it is from it in all.

Two runs are compared call by call; the words between the calls are free. The first difference is, in this order, a call
of another tool, a call of the same tool with other arguments, or that one of them ended while the other went on. Runs
with the same calls differ if their last words do (case and white space aside).

The distance is Levenshtein's over calls (insert, delete, replace: 1 each; equal calls: 0), / number of calls of the
longer run: 0 for the same calls, 1 if none can be kept. Two runs without a call have distance 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from scoring.paths import Call, Node, Path, RawCalls, raw_calls, read_arguments, remembered
from trajectory.runs import Frozen

Difference = Literal["tool", "arguments", "ended", "text"]
MAX_SHOWN = 400
"""Characters of a call or an answer that are kept to be shown."""
_ENDED = "(no further call)"


class Divergence(Frozen):
    """`differs` is None for the same path. `at_call` counts from 1; after equal calls it is one more than there are.

    `step` is the place in the run's trajectory, None where the run ended first. `arguments` names those that differ.
    `here` is what this run did, `there` what the reference did, `before` the call that both had last, if any.
    """

    differs: Difference | None
    at_call: int
    step: int | None = None
    arguments: tuple[str, ...] = ()
    here: str = ""
    there: str = ""
    before: str = ""
    distance: float


def diverge(run: Path, reference: Path) -> Divergence:
    mine, theirs = run.calls, reference.calls
    distance, same = _compared(raw_calls(mine), raw_calls(theirs))
    before = _shown(run.calls[same - 1]) if same else ""
    if same == len(mine) == len(theirs):
        return _by_words(run, reference, at_call=same + 1, before=before)
    here = run.calls[same] if same < len(mine) else None
    there = reference.calls[same] if same < len(theirs) else None
    differs: Difference = "ended"
    if here is not None and there is not None:
        differs = "arguments" if here.tool == there.tool else "tool"
    return Divergence(
        differs=differs,
        at_call=same + 1,
        step=here.step if here else None,
        arguments=_differing(here.node, there.node) if here and there and differs == "arguments" else (),
        here=_shown(here) if here else _last(run),
        there=_shown(there) if there else _last(reference),
        before=before,
        distance=distance,
    )


@remembered
def _compared(actual: RawCalls, reference: RawCalls) -> tuple[float, int]:
    """Their distance, and how many calls both begin with."""
    a, b = ([(tool, read_arguments(raw)) for tool, raw in calls] for calls in (actual, reference))
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return _edits(a, b) / (max(len(a), len(b)) or 1), same


def _edits(a: Sequence[tuple[str, Node]], b: Sequence[tuple[str, Node]]) -> int:
    before = list(range(len(b) + 1))
    for i, ours in enumerate(a, start=1):
        now = [i]
        for j, theirs in enumerate(b):
            now.append(min(before[j] + (ours != theirs), before[j + 1] + 1, now[j] + 1))
        before = now
    return before[-1]


def _by_words(run: Path, reference: Path, *, at_call: int, before: str) -> Divergence:
    mine, theirs = run.answer, reference.answer
    if mine is None or theirs is None or " ".join(mine.split()).casefold() == " ".join(theirs.split()).casefold():
        return Divergence(differs=None, at_call=at_call, before=before, distance=0.0)
    return Divergence(differs="text", at_call=at_call, here=_cut(mine), there=_cut(theirs), before=before, distance=0.0)


def _differing(a: Node, b: Node) -> tuple[str, ...]:
    """Names of the arguments that differ or that one side lacks; empty where one is no object."""
    if a[0] != "object" or b[0] != "object":
        return ()
    mine, theirs = dict(a[1]), dict(b[1])
    return tuple(sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)))


def _last(path: Path) -> str:
    return f"{_ENDED} {_cut(path.answer)}" if path.answer else _ENDED


def _shown(call: Call) -> str:
    return _cut(f"{call.tool} {call.arguments}".rstrip())


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
