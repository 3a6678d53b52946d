"""Pages of trajectories, filtered: the newest first."""

from __future__ import annotations

from dataclasses import dataclass

from trajectory.errors import ClientError
from trajectory.store import Store
from trajectory.trajectory import TrajectorySummary

SOURCES = ("live", "replay", "imported")
LABELS = ("passed", "failed", "none")
PAGE_SIZE = 50
SEARCHED = 5000
"""So many of the newest are searched for a label, which the store does not filter by."""
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which trajectories, and which page of them (from 1). A `label` of none means those without one."""

    session: str = ""
    task: str = ""
    source: str = ""
    label: str = ""
    page: int = 1

    @classmethod
    def of(cls, query: dict[str, str]) -> Wanted:
        """Raises ClientError for a source, label or page that there is not."""
        source, label, page = (query.get(name, "").strip() for name in ("source", "label", "page"))
        if source and source not in SOURCES:
            raise ClientError(f"there is no source {source[:40]!r}", hint=f"it is one of {', '.join(SOURCES)}")
        if label and label not in LABELS:
            raise ClientError(f"there is no label {label[:40]!r}", hint=f"it is one of {', '.join(LABELS)}")
        if page and not (page.isascii() and page.isdigit() and 0 < int(page[:9]) <= _MOST_PAGES):
            raise ClientError("a page is a number from 1 on")
        return cls(query.get("session", "").strip(), query.get("task", "").strip(), source, label, int(page or 1))

    @property
    def is_filtered(self) -> bool:
        return bool(self.session or self.task or self.source or self.label)


@dataclass(frozen=True, slots=True)
class Listed:
    trajectories: list[TrajectorySummary]
    has_more: bool
    searched: int | None = None
    """How many were looked through, where older ones may match that were not."""


def find_page(store: Store, wanted: Wanted) -> Listed:
    start = (wanted.page - 1) * PAGE_SIZE
    need = start + PAGE_SIZE + 1
    limit = max(SEARCHED, need) if wanted.label else need
    found = store.find(
        session=wanted.session or None, task=wanted.task or None, source=wanted.source or None, limit=limit
    )
    searched = len(found) if wanted.label and len(found) == limit else None
    if wanted.label:
        found = [one for one in found if (one.label or "none") == wanted.label]
    return Listed(found[start : start + PAGE_SIZE], len(found) > start + PAGE_SIZE, searched)
