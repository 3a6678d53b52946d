"""Recorded tool results as answers: found by what was called, in the order in which they were recorded.

The recordings are those of the task's own source, and of a declared pool: further recordings of the same task. Which
one is served, first difference decides:
1. the one before which the recorded run had made the writes that this run has made, or fewest others;
2. the task's own source before the pool;
3. one that was not given yet, in recorded order, before one that was; of those the last is given again;
4. the same raw arguments before the same arguments as JSON.
Where the writes differ the answer says so: the state may have moved.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from replay.matching import canonical_arguments, nearest
from replay.world.contract import Answer, answered, missing, shortened
from replay.world.kinds import ToolKinds
from trajectory.runs import Fidelity

Write = tuple[str, str]
"""Tool and arguments of a write, the arguments canonical where they can be."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A tool call and what the agent told the model of its result."""

    tool: str
    arguments: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Tape:
    """`recordings` are the source's own; each entry of `pool` is another recorded run of the same task."""

    recordings: tuple[Recording, ...] = ()
    pool: tuple[tuple[Recording, ...], ...] = ()
    kinds: ToolKinds = field(default_factory=ToolKinds)

    @property
    def digest(self) -> str:
        hashed = hashlib.blake2b(digest_size=16)
        parts = [part for run in self.runs for one in run for part in (*_fields(one), "")]
        for part in (*parts, *(f"{tool} {kind}" for tool, kind in sorted(self.kinds.declared.items()))):
            data = part.encode("utf-8", "surrogatepass")
            hashed.update(len(data).to_bytes(8, "big") + data)
        hashed.update(",".join(str(len(run)) for run in self.runs).encode())
        return hashed.hexdigest()

    @property
    def runs(self) -> tuple[tuple[Recording, ...], ...]:
        return (self.recordings, *self.pool)

    def reader(self) -> TapeReader:
        """A reader from the start: each run has its own."""
        return TapeReader(self)

    async def start(self, seed: int) -> TapeReader:
        return self.reader()


def _fields(one: Recording) -> tuple[str, ...]:
    return one.tool, one.arguments, one.text, str(one.is_error)


@dataclass(frozen=True, slots=True)
class _Found:
    """`at` is the recording's number over all runs; `before` the writes that its run had made by then."""

    at: int
    recording: Recording
    is_pooled: bool
    before: tuple[Write, ...]


class TapeReader:
    """A world that is a tape. exact: same tool and raw arguments; canonical: the same arguments as JSON; pooled:
    either, in another recording than the task's own.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._given: set[int] = set()
        self._writes: list[Write] = []
        self._by_call: dict[Write, list[_Found]] = {}
        at = 0
        for number, run in enumerate(tape.runs):
            before: tuple[Write, ...] = ()
            for one in run:
                call = _call(one.tool, one.arguments)
                self._by_call.setdefault(call, []).append(_Found(at, one, number > 0, before))
                if tape.kinds.of(one.tool) == "write":
                    before = (*before, call)
                at += 1

    async def answer(self, tool: str, arguments: str) -> Answer:
        return self.find(tool, arguments)

    def find(self, tool: str, arguments: str) -> Answer:
        """What `answer` gives; a miss names the nearest recordings in its note."""
        found = self._by_call.get(_call(tool, arguments), [])
        if not found:
            return missing(tool, arguments, self._nearest(tool, arguments))
        best = min(found, key=lambda one: self._preference(one, arguments))
        notes = ["given again: it was recorded fewer times"] if best.at in self._given else []
        moved = "" if self._tape.kinds.of(tool) == "pure" else _moved(best.before, self._writes)
        if moved:
            notes.append(f"state may have moved: {moved}")
        self._given.add(best.at)
        self.witness(tool, arguments)
        return answered(
            tool,
            arguments,
            best.recording.text,
            self._fidelity(best, arguments),
            is_error=best.recording.is_error,
            note="; ".join(notes),
            may_be_stale=bool(moved),
        )

    def witness(self, tool: str, arguments: str) -> None:
        if self._tape.kinds.of(tool) == "write":
            self._writes.append(_call(tool, arguments))

    async def close(self) -> tuple[str, ...]:
        tools = sorted({one.tool for one in self.unused})
        if not tools:
            return ()
        return (f"recorded results that no call asked for: {len(self.unused)} ({', '.join(tools)})",)

    @property
    def unused(self) -> tuple[Recording, ...]:
        """Recordings of the task's own source that no call asked for."""
        return tuple(one for at, one in enumerate(self._tape.recordings) if at not in self._given)

    def _preference(self, one: _Found, arguments: str) -> tuple[int, bool, bool, bool, int]:
        is_pure = self._tape.kinds.of(one.recording.tool) == "pure"
        distance = 0 if is_pure else _distance(one.before, self._writes)
        given = one.at in self._given
        return distance, one.is_pooled, given, one.recording.arguments != arguments, -one.at if given else one.at

    @staticmethod
    def _fidelity(one: _Found, arguments: str) -> Fidelity:
        if one.is_pooled:
            return "pooled"
        return "exact" if one.recording.arguments == arguments else "canonical"

    def _nearest(self, tool: str, arguments: str) -> str:
        near = nearest(tool, arguments, [one for run in self._tape.runs for one in run])
        said = "; ".join(f"{one.tool}({shortened(one.arguments)})" for one in near)
        what = f"no recorded result for {tool}({shortened(arguments)})"
        return f"{what}; nearest recordings: {said}" if near else f"{what}; the tape is empty"


def _call(tool: str, arguments: str) -> Write:
    canonical = canonical_arguments(arguments)
    # A text that is no JSON can never equal one that is: it is told apart by a mark that no JSON begins with.
    return tool, canonical if canonical is not None else f"\0{arguments}"


def _distance(recorded: Sequence[Write], made: Sequence[Write]) -> int:
    """Writes that only one side has; 1 where only their order differs."""
    there, here = Counter(recorded), Counter(made)
    apart = (there - here).total() + (here - there).total()
    return apart or int(tuple(recorded) != tuple(made))


def _moved(recorded: Sequence[Write], made: Sequence[Write]) -> str:
    """Why a result recorded after `recorded` may not hold after `made`; empty if both are the same writes."""
    if not _distance(recorded, made):
        return ""
    there, here = Counter(recorded), Counter(made)
    said: list[str] = []
    said += _told("this run called {} that the recording had not called by then", list((here - there).elements()))
    said += _told("the recording had called {} that this run has not called", list((there - here).elements()))
    return ", and ".join(said) or "the same writes were called in another order"


def _told(sentence: str, writes: list[Write]) -> list[str]:
    if not writes:
        return []
    names = ", ".join(sorted({tool for tool, _ in writes}))
    return [sentence.format(f"{len(writes)} write{'s' if len(writes) > 1 else ''} ({names})")]
