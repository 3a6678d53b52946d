from __future__ import annotations

from ironcage.console.reports import Reports
from tests.support.scored_runs import run, table
from trajectory.memory import MemoryStore


def test_report_is_made_once_and_anew_after_new_runs() -> None:
    store = MemoryStore()
    bakeoff, runs = table({"a": {"t": [True]}, "b": {"t": [False]}})
    store.put_bakeoff(bakeoff)
    store.put_runs(runs)
    reports = Reports(store)
    first = reports.page_of(bakeoff.id)
    assert first is not None
    assert reports.page_of(bakeoff.id) is first
    store.put_runs([run(True, name="a", task="t", trial=1)])
    assert reports.page_of(bakeoff.id) != first
    assert reports.page_of("nothing") is None
