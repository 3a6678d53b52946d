"""What the store holds, as Prometheus text (exposition format 0.0.4): gauges, since what is kept can be deleted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from proxy.approval_desk import Desk
from proxy.approvals import Outcome
from trajectory.errors import StoreError
from trajectory.store import Store
from trajectory.trajectory import Trajectory, TrajectorySummary

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTED = 20_000
"""The newest so many trajectories are counted."""
Key = tuple[str, str]
"""Metric and the value of its one label."""


class Metrics:
    """Remembers what it counted: a scrape reads only trajectories that changed since the last. One at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[int, Counter[Key]]] = {}

    def text(self) -> str:
        with self._lock:
            found = self._store.find(limit=COUNTED)
            self._counted = {one.id: self._tally(one) for one in found}
            total: Counter[Key] = Counter()
            for _, tally in self._counted.values():
                total.update(tally)
            return _exposition(found, total, len(self._store.bakeoffs()), len(self._store.tasks()))

    def _tally(self, one: TrajectorySummary) -> tuple[int, Counter[Key]]:
        known = self._counted.get(one.id)
        if known is not None and known[0] == one.attempts:
            return known
        if one.attempts == 0:
            return 0, Counter()
        try:
            return one.attempts, _counts(self._store.trajectory(one.id))
        except StoreError:  # deleted since it was listed; a store that is down fails at the next call
            return 0, Counter()


def _counts(trajectory: Trajectory) -> Counter[Key]:
    counts: Counter[Key] = Counter()
    for step in trajectory.steps:
        counts["retries", step.kind] += step.retries
        for view in step.attempts:
            counts["attempts", view.end] += 1
            for note in view.verdicts:
                if note.action in ("refuse", "cut"):
                    counts["refusals", note.code] += note.count
            usage = view.answer.usage if view.answer is not None else None
            if usage is not None:
                counts["tokens", "input"] += usage.input_tokens or 0
                counts["tokens", "output"] += usage.output_tokens or 0
    return counts


def _exposition(found: list[TrajectorySummary], total: Counter[Key], bakeoffs: int, tasks: int) -> str:
    kinds = Counter((one.source, one.label or "none") for one in found)
    lines = list(_gauge(
        "ironcage_trajectories", f"Trajectories kept (the newest {COUNTED} are counted).",
        (({"source": source, "label": label}, number) for (source, label), number in sorted(kinds.items())),
    ))  # fmt: skip
    for name, label, meaning in (
        ("attempts", "end", "Attempts kept, by how they ended."),
        ("refusals", "code", "Refusals and cuts by policy, by code."),
        ("retries", "kind", "Attempts beyond the first of an operation."),
        ("tokens", "direction", "Tokens that providers reported."),
    ):
        rows = (({label: value}, number) for (kind, value), number in sorted(total.items()) if kind == name)
        lines += _gauge(f"ironcage_{name}", meaning, rows)
    lines += _gauge("ironcage_bakeoffs", "Bake-offs kept.", [({}, bakeoffs)])
    lines += _gauge("ironcage_tasks", "Tasks kept.", [({}, tasks)])
    return "\n".join(lines) + "\n"


def desk_text(desk: Desk) -> str:
    """What waits for a person, and counters of what became of such calls since the proxy was started."""
    waiting = sum(question.state == "waiting" for question in desk.questions())
    decided = [({"outcome": outcome}, desk.counts[outcome]) for outcome in get_args(Outcome)]
    lines = [
        *_gauge("ironcage_approvals_waiting", "Calls that wait for a person now.", [({}, waiting)]),
        *_metric("counter", "ironcage_approvals_total", "Calls that waited, by what became of them.", decided),
    ]
    return "\n".join(lines) + "\n"


def turned_away_text(counts: Mapping[str, int]) -> str:
    rows = [({"why": why}, number) for why, number in sorted(counts.items())]
    meaning = "Requests that were let in by no door and are in no record, by why, since the proxy was started."
    return "\n".join(_metric("counter", "ironcage_turned_away_total", meaning, rows)) + "\n"


def _gauge(name: str, meaning: str, rows: Iterable[tuple[Mapping[str, str], int]]) -> Iterator[str]:
    return _metric("gauge", name, meaning, rows)


def _metric(kind: str, name: str, meaning: str, rows: Iterable[tuple[Mapping[str, str], int]]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    for labels, number in rows:
        inside = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
        yield f"{name}{{{inside}}} {number}" if inside else f"{name} {number}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
