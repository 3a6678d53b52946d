from __future__ import annotations

import pytest

from ironcage.console import listing
from ironcage.console.listing import Wanted, find_page
from tests.support.attempts import model_attempt
from trajectory.memory import MemoryStore


def filled(count: int) -> MemoryStore:
    store = MemoryStore()
    store.append([model_attempt(n, trajectory=f"t{n}", session=f"t{n}") for n in range(count)])
    return store


def test_pages_together_hold_each_trajectory_once() -> None:
    store = filled(120)
    pages = [find_page(store, Wanted(page=page)) for page in (1, 2, 3)]
    assert [page.has_more for page in pages] == [True, True, False]
    assert [one.id for page in pages for one in page.trajectories] == [f"t{n}" for n in reversed(range(120))]


def test_label_is_searched_among_the_newest_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SEARCHED", 60)
    store = filled(100)
    store.label("t99", "passed", "")
    store.label("t0", "passed", "")
    found = find_page(store, Wanted(label="passed"))
    assert ([one.id for one in found.trajectories], found.searched) == (["t99"], 60)
    assert find_page(store, Wanted()).searched is None


def test_none_means_without_a_label() -> None:
    store = filled(3)
    store.label("t1", "failed", "")
    assert [one.id for one in find_page(store, Wanted(label="none")).trajectories] == ["t2", "t0"]
