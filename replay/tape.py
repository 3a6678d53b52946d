"""Recorded tool results as answers: found by what was called, consumed in the order in which they were recorded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from replay.matching import canonical_arguments, nearest
from replay.transcript import read_messages
from trajectory.conversation import Message, ToolCall, ToolResult
from trajectory.errors import FormatError, TapeMissError
from trajectory.runs import Fidelity, Served
from trajectory.store import Store

ReadMessages = Callable[[str, bytes], tuple[Message, ...]]


@dataclass(frozen=True, slots=True)
class Recording:
    """A tool call and what the agent told the model of its result."""

    tool: str
    arguments: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class TapeAnswer:
    text: str
    is_error: bool
    served: Served


@dataclass(frozen=True, slots=True)
class Tape:
    recordings: tuple[Recording, ...] = ()

    @property
    def digest(self) -> str:
        hashed = hashlib.blake2b(digest_size=16)
        for one in self.recordings:
            for part in (one.tool, one.arguments, one.text, str(one.is_error)):
                data = part.encode("utf-8", "surrogatepass")
                hashed.update(len(data).to_bytes(8, "big") + data)
        return hashed.hexdigest()

    def reader(self) -> TapeReader:
        """A reader from the start: each run has its own."""
        return TapeReader(self.recordings)


class TapeReader:
    """Answers calls. exact: same tool and the same raw arguments; canonical: the same arguments as JSON.

    Of several recordings of a call the first one not yet given is taken; when all have been given, the last one is
    given again, and the note says so (the world may have changed since, but the tape knows no more).
    """

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._recordings = tuple(recordings)
        self._given: set[int] = set()
        self._exact: dict[tuple[str, str], list[int]] = {}
        self._canonical: dict[tuple[str, str], list[int]] = {}
        for index, one in enumerate(self._recordings):
            self._exact.setdefault((one.tool, one.arguments), []).append(index)
            canonical = canonical_arguments(one.arguments)
            if canonical is not None:
                self._canonical.setdefault((one.tool, canonical), []).append(index)

    def answer(self, tool: str, arguments: str) -> TapeAnswer:
        """Raises TapeMissError if nothing on the tape is this call; its hint names the nearest recordings."""
        canonical = canonical_arguments(arguments)
        exact = self._exact.get((tool, arguments), [])
        same = [] if canonical is None else self._canonical.get((tool, canonical), [])
        rungs: tuple[tuple[Fidelity, list[int]], ...] = (("exact", exact), ("canonical", same))
        for fidelity, indices in rungs:
            fresh = next((index for index in indices if index not in self._given), None)
            if fresh is not None:
                self._given.add(fresh)
                return self._answer(fresh, tool, arguments, fidelity)
        for fidelity, indices in rungs:
            if indices:
                return self._answer(indices[-1], tool, arguments, fidelity, "given again: it was recorded fewer times")
        raise self._miss(tool, arguments)

    @property
    def unused(self) -> tuple[Recording, ...]:
        """Recordings that no call asked for."""
        return tuple(one for index, one in enumerate(self._recordings) if index not in self._given)

    def _answer(self, index: int, tool: str, arguments: str, fidelity: Fidelity, note: str = "") -> TapeAnswer:
        one = self._recordings[index]
        return TapeAnswer(one.text, one.is_error, Served(tool=tool, arguments=arguments, fidelity=fidelity, note=note))

    def _miss(self, tool: str, arguments: str) -> TapeMissError:
        near = nearest(tool, arguments, self._recordings)
        hint = "nearest recordings: " + "; ".join(f"{one.tool}({_short(one.arguments)})" for one in near)
        return TapeMissError(
            f"no recorded result for {tool}({_short(arguments)})", hint=hint if near else "the tape is empty"
        )


def _short(arguments: str, length: int = 200) -> str:
    return arguments if len(arguments) <= length else arguments[: length - 1] + "…"


def record_tape(store: Store, trajectory: str, read: ReadMessages = read_messages) -> Tape:
    """The tape of one trajectory: the results that its model requests carried, in the order in which they came.

    A conversation is sent again with each request, so that each result is seen many times and counts once; results
    that a shortened context no longer carries were seen before. Requests that cannot be read add nothing.
    """
    known: Counter[tuple[str, Recording]] = Counter()
    recordings: list[Recording] = []
    for step in store.trajectory(trajectory).model_steps:
        body = store.body(step.last.id, "request")
        if body is None:
            continue
        try:
            messages = read(step.wire, body)
        except FormatError:
            continue
        seen: Counter[tuple[str, Recording]] = Counter()
        for key in _results(messages):
            seen[key] += 1
            if seen[key] > known[key]:
                known[key] += 1
                recordings.append(key[1])
    return Tape(tuple(recordings))


def _results(messages: Iterable[Message]) -> Iterable[tuple[str, Recording]]:
    """Each result with its call; a result answers the latest call of its id (some servers number calls anew)."""
    calls: dict[str, ToolCall] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls[part.id] = part
            elif isinstance(part, ToolResult) and (call := calls.get(part.call_id)):
                yield part.call_id, Recording(call.name, call.arguments, part.text, part.is_error)
