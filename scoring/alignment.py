"""How well the tool calls of a run agree with those of the reference: one-to-one, with the best total.

Similarity of two calls: 0 for different tools, else that of their arguments, from 0 to 1:

    objects    sum over the keys of both of the similarity of their values, / number of keys in either; both empty: 1
    arrays     sum over the places of both of the similarity of their elements, / length of the longer; both empty: 1
    otherwise  1 if they are the same JSON value, else 0 (1 and 1.0 are; "1", 1 and true are not)

The assignment is optimal (Hungarian method): no other pairing has a larger sum. With actual and reference calls A and E
and the sum M of the pairs, precision = M / A, recall = M / E, F1 = 2 M / (A + E); no call on either side is 1, on one
side 0. `exact` is the same with a similarity of 1 for equal arguments and 0 for others: the number of calls that both
have, counted as often as both have them.

Order: the largest sum of pairs that do not cross (weighted longest common subsequence), put into the formula of F1. It
is F1 where everything that was matched stands in the same order, else less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations
from math import perm
from operator import getitem

from scoring.paths import Call, Node, RawCalls, folded, raw_calls, read_arguments, remembered
from trajectory.runs import Frozen, ToolKind

_Sums = tuple[int, int, int, int, float]
"""The fields of a Match."""
_Compared = tuple[Mapping[str, _Sums], float]
"""Sums by tool, and the largest sum of pairs that do not cross."""
_FEW = 24


class Match(Frozen):
    """Calls of a run against those of its reference. `similarity` is the sum over the `paired` ones."""

    actual: int
    reference: int
    exact: int
    paired: int
    similarity: float

    @property
    def precision(self) -> float:
        return _share(self.similarity, self.actual, self.reference)

    @property
    def recall(self) -> float:
        return _share(self.similarity, self.reference, self.actual)

    @property
    def f1(self) -> float:
        return _balance(self.similarity, self.actual, self.reference)

    @property
    def extra(self) -> int:
        """Calls that no call of the reference is like."""
        return self.actual - self.paired

    @property
    def missing(self) -> int:
        return self.reference - self.paired

    def __add__(self, other: Match) -> Match:
        return Match(
            actual=self.actual + other.actual,
            reference=self.reference + other.reference,
            exact=self.exact + other.exact,
            paired=self.paired + other.paired,
            similarity=self.similarity + other.similarity,
        )


NOTHING = Match(actual=0, reference=0, exact=0, paired=0, similarity=0.0)


class Alignment(Frozen):
    """`reads` and `writes` hold the calls of tools that are declared as such, None where no tool is; `every` has all.

    `order` is between 0 and 1, never more than the F1 of `every`.
    """

    every: Match
    reads: Match | None = None
    writes: Match | None = None
    order: float


def align(
    actual: Sequence[Call],
    reference: Sequence[Call],
    kinds: Mapping[str, ToolKind] | None = None,
    *,
    fold_text: bool = False,
) -> Alignment:
    """`kinds` says of a tool whether it reads or writes. With `fold_text`, case and white space of texts are alike."""
    compared = _compared_loosely if fold_text else _compared
    by_tool, in_order = compared(raw_calls(actual), raw_calls(reference))

    def of(kind: ToolKind) -> Match | None:
        if not kinds or kind not in kinds.values():
            return None
        return _added(sums for tool, sums in by_tool.items() if kinds.get(tool) == kind)

    return Alignment(
        every=_added(by_tool.values()),
        reads=of("read"),
        writes=of("write"),
        order=_balance(in_order, len(actual), len(reference)),
    )


def similarity(a: Node, b: Node) -> float:
    """Symmetric, 1 for equal values, see above."""
    if a == b:
        return 1.0
    (kind, ours), (other, theirs) = a, b
    if kind != other or kind not in ("object", "array"):
        return 0.0
    if kind == "array":
        return _alike_in_pairs(zip(ours, theirs, strict=False)) / max(len(ours), len(theirs))
    mine, yours = dict(ours), dict(theirs)
    common = [key for key in mine if key in yours]
    size = len(mine) + len(yours) - len(common)
    return _alike_in_pairs((mine[key], yours[key]) for key in common) / size


def _alike_in_pairs(pairs: Iterable[tuple[Node, Node]]) -> float:
    """Most values are no containers, and settled here."""
    total = 0.0
    for a, b in pairs:
        if a == b:
            total += 1.0
        elif a[0] == b[0] and a[0] in ("object", "array"):
            total += similarity(a, b)
    return total


def exact_repeats(calls: Sequence[Call]) -> int:
    """Calls that this run had made before with the same arguments, whatever came in between."""
    return len(calls) - len({(call.tool, call.node) for call in calls})


def errors_recovered(calls: Sequence[Call]) -> tuple[int, int] | None:
    """Calls that failed, and how many of them were put right: a later call of the same intent did not fail.

    The same intent is the same tool, with at least half of the arguments alike or but one that differs. None where
    nobody says how the calls ended.
    """
    if any(call.is_error is None for call in calls):
        return None
    failed = [(at, call) for at, call in enumerate(calls) if call.is_error]
    recovered = sum(
        any(not later.is_error and _same_intent(call, later) for later in calls[at + 1 :]) for at, call in failed
    )
    return len(failed), recovered


def _same_intent(a: Call, b: Call) -> bool:
    if a.tool != b.tool:
        return False
    (kind, ours), (other, theirs) = a.node, b.node
    if kind == other == "object" and len(ours) == len(theirs) == len(dict(ours).keys() & dict(theirs).keys()):
        differing: int = sum(x != y for x, y in zip(ours, theirs, strict=True))
        return differing <= max(1, len(ours) // 2)
    alike: float = similarity(a.node, b.node)
    return alike >= 0.5


def _added(sums: Iterable[_Sums]) -> Match:
    columns = [sum(column) for column in zip(*sums, strict=True)] or [0] * 5
    actual, reference, exact, paired, alike = columns
    return Match(actual=actual, reference=reference, exact=exact, paired=paired, similarity=alike)


@remembered
def _compared(actual: RawCalls, reference: RawCalls) -> _Compared:
    return _compare(actual, reference, read_arguments)


@remembered
def _compared_loosely(actual: RawCalls, reference: RawCalls) -> _Compared:
    return _compare(actual, reference, lambda raw: folded(read_arguments(raw)))


def _compare(actual: RawCalls, reference: RawCalls, read: Callable[[str], Node]) -> _Compared:
    mine, theirs = ([(tool, read(raw)) for tool, raw in calls] for calls in (actual, reference))
    alike = [[similarity(a, b) if tool == other else 0.0 for other, b in theirs] for tool, a in mine]
    places: dict[str, tuple[list[int], list[int]]] = {}
    for side, calls in enumerate((actual, reference)):
        for place, (tool, _) in enumerate(calls):
            places.setdefault(tool, ([], []))[side].append(place)
    sums = {tool: _sums([[alike[i][j] for j in js] for i in at], len(js)) for tool, (at, js) in places.items()}
    return sums, _in_order(alike)


def _sums(rows: Sequence[Sequence[float]], reference: int) -> _Sums:
    """Calls of different tools are never paired, so that each tool is an assignment of its own: these are its rows."""
    actual = len(rows)
    if not actual or not reference:
        return actual, reference, 0, 0, 0.0
    exact = _equal_pairs(rows)
    values = [1.0] * exact if exact == min(actual, reference) else _assign(rows)
    return actual, reference, exact, sum(value > 0 for value in values), sum(values)


def _equal_pairs(rows: Sequence[Sequence[float]]) -> int:
    """Equal calls are alike to the same others, so that for each the first equal one that is left will do."""
    taken: set[int] = set()
    for row in rows:
        for j, value in enumerate(row):
            if value == 1.0 and j not in taken:
                taken.add(j)
                break
    return len(taken)


def _assign(rows: Sequence[Sequence[float]]) -> Sequence[float]:
    """The similarities of the pairs of the best assignment. A few pairings are all tried: scipy is slow to call."""
    if len(rows) > len(rows[0]):
        rows = list(zip(*rows, strict=True))
    wide = len(rows[0])
    if perm(wide, len(rows)) <= _FEW:
        return max((list(map(getitem, rows, chosen)) for chosen in permutations(range(wide), len(rows))), key=sum)
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 -- scipy takes a third of a second to load

    return [rows[i][j] for i, j in zip(*linear_sum_assignment(rows, maximize=True), strict=True)]


def _in_order(alike: Sequence[Sequence[float]]) -> float:
    before = [0.0] * (len(alike[0]) + 1 if alike else 1)
    for row in alike:
        now = [0.0]
        for j, value in enumerate(row):
            now.append(max(before[j + 1], now[j], before[j] + value))
        before = now
    return before[-1]


def _share(matched: float, of: int, other: int) -> float:
    return matched / of if of else float(other == 0)


def _balance(matched: float, a: int, b: int) -> float:
    return 2 * matched / (a + b) if a + b else 1.0
