"""What runs are scored against, from the store: the reference path of each task, and what recorded requests carried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from replay.fingerprint import digest_of
from replay.task import Task, read_task
from replay.transcript import read_messages
from scoring.context import Conversations
from scoring.paths import Call, Path, last_words
from trajectory.conversation import Message
from trajectory.errors import FormatError, StoreError
from trajectory.record import Attempt
from trajectory.runs import Bakeoff, Run
from trajectory.store import Store

MAX_READ = 20
"""Runs of a candidate whose request bodies are read; the report says how many they were."""


def reference_paths(store: Store, bakeoff: Bakeoff) -> dict[str, Path]:
    """By task. Empty where the tasks in the store are no longer those that the bake-off ran."""
    documents = store.tasks()
    if any(name not in documents for name in bakeoff.tasks):
        return {}
    try:
        tasks = [read_task(documents[name]) for name in bakeoff.tasks]
    except FormatError:
        return {}
    if digest_of({task.id: task.digest for task in tasks}) != bakeoff.fingerprint_parts.get("tasks"):
        return {}
    return {task.id: _path(store, task) for task in tasks}


def _path(store: Store, task: Task) -> Path:
    calls = tuple(Call(call.tool, call.arguments) for call in task.reference)
    try:
        return Path(calls, last_words(store.trajectory(task.source)), task.source)
    except StoreError:
        return Path(calls, None, task.source)


class RecordedConversations(Mapping[str, Conversations]):
    """By trajectory, the messages of each model request that can be read; of the first runs of each candidate only."""

    def __init__(self, store: Store, runs: Sequence[Run]) -> None:
        self._store = store
        taken: Counter[str] = Counter()
        self._ids: set[str] = set()
        for run in sorted(runs, key=lambda run: (run.trial, run.task)):
            taken[run.candidate.name] += 1
            if taken[run.candidate.name] <= MAX_READ:
                self._ids.add(run.trajectory)

    def __getitem__(self, key: str) -> Conversations:
        if key not in self._ids:
            raise KeyError(key)
        try:
            last = {one.operation: one for one in self._store.attempts(key) if one.kind == "model"}
        except StoreError:
            raise KeyError(key) from None
        return [messages for one in last.values() if (messages := _messages(one))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def _messages(attempt: Attempt) -> tuple[Message, ...]:
    try:
        return read_messages(attempt.wire, b"".join(span.data for span in attempt.request))
    except (FormatError, UnicodeDecodeError):
        return ()
