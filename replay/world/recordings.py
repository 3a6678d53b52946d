"""Tapes from the store: the results of recorded trajectories, and which recordings of a task are pooled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal

from replay.task import Task
from replay.transcript import read_messages
from replay.world.kinds import ToolKinds
from replay.world.tape import Recording, Tape
from trajectory.conversation import Message, ToolCall, ToolResult
from trajectory.errors import FormatError
from trajectory.store import Store
from trajectory.trajectory import REPLAYED

ReadMessages = Callable[[str, bytes], tuple[Message, ...]]
Pool = Literal["source", "recorded"]
"""source: the task's own recording only; recorded: all recordings of the task, other trials and other models too, but
no replays: their results may themselves have come from a tape."""


def record_tape(store: Store, trajectory: str, read: ReadMessages = read_messages) -> Tape:
    """The tape of one trajectory."""
    return Tape(_recordings(store, trajectory, read))


def task_tape(
    store: Store, task: Task, *, pool: Pool = "source", before_s: float | None = None, kinds: ToolKinds | None = None
) -> Tape:
    """The tape of a task. Recordings that began at `before_s` (epoch) or later are not pooled, so that a bake-off that
    is continued reads the tape that it began with. Pooled recordings stand in the order in which they began.
    """
    own = _recordings(store, task.source, read_messages)
    others: list[str] = []
    if pool == "recorded":
        found = [one for one in store.find(task=task.id) if one.source not in REPLAYED and one.id != task.source]
        kept = [one for one in found if before_s is None or one.started_at < before_s]
        others = [one.id for one in sorted(kept, key=lambda one: (one.started_at, one.id))]
    pooled = tuple(_recordings(store, one, read_messages) for one in others)
    return Tape(own, tuple(run for run in pooled if run), kinds or ToolKinds())


def results_before(store: Store, trajectory: str, step: int) -> tuple[Recording, ...]:
    """The results that the model had been told when it was asked for its `step`-th answer, counted from 1."""
    return _recordings(store, trajectory, read_messages, until=step)


def _recordings(
    store: Store, trajectory: str, read: ReadMessages, *, until: int | None = None
) -> tuple[Recording, ...]:
    """The results that the model requests carried, or the first `until` of them, in the order in which they came.

    A conversation is sent again with each request, so that each result is seen many times and counts once; results
    that a shortened context no longer carries were seen before. Requests that cannot be read add nothing.
    """
    known: Counter[tuple[str, Recording]] = Counter()
    recordings: list[Recording] = []
    for step in store.trajectory(trajectory).model_steps[:until]:
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
    return tuple(recordings)


def _results(messages: Iterable[Message]) -> Iterable[tuple[str, Recording]]:
    """Each result with its call; a result answers the latest call of its id (some servers number calls anew), or the
    first open call of its name, where calls have no ids.
    """
    calls: dict[str, ToolCall] = {}
    unnumbered: list[ToolCall] = []
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls[part.id] = part
                unnumbered += [] if part.id else [part]
            elif isinstance(part, ToolResult) and (call := _called(part, calls, unnumbered)):
                yield part.call_id, Recording(call.name, call.arguments, part.text, part.is_error)


def _called(result: ToolResult, calls: dict[str, ToolCall], unnumbered: list[ToolCall]) -> ToolCall | None:
    named = next((call for call in unnumbered if call.name == result.call_id), None)
    if named is None:
        return calls.get(result.call_id) if result.call_id else None
    unnumbered.remove(named)
    return named
