from __future__ import annotations

import re
from collections import Counter

from ironcage.console.metrics import Metrics, turned_away_text
from tests.support.attempts import model_attempt, tool_attempt
from tests.support.console import Browser
from trajectory.memory import MemoryStore
from trajectory.record import VerdictNote
from trajectory.trajectory import Trajectory

LINE = re.compile(r'^[a-z_]+(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? \d+$')


class CountingStore(MemoryStore):
    reads = 0

    def trajectory(self, trajectory: str) -> Trajectory:
        self.reads += 1
        return super().trajectory(trajectory)


def samples(text: str) -> dict[str, int]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: int(value) for name, _, value in rows}


async def test_scrape_counts_what_the_store_holds(browser: Browser) -> None:
    answer = await browser.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    assert found['ironcage_trajectories{source="live",label="none"}'] == 2
    assert found['ironcage_attempts{end="complete"}'] == 3
    assert found['ironcage_refusals{code="tool_not_allowed"}'] == 2
    assert found['ironcage_tokens{direction="input"}'] == 20
    assert found["ironcage_bakeoffs"] == 0


def test_each_line_is_well_formed_whatever_a_code_holds() -> None:
    store = MemoryStore()
    evil = 'a"b\\c\nd'
    store.append([tool_attempt(0, verdicts=(VerdictNote("refuse", "r", evil, "m"),))])
    store.launched("s-2", None, source=evil)
    lines = [line for line in Metrics(store).text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not LINE.match(line)] == []


def test_second_scrape_reads_only_what_changed() -> None:
    store = CountingStore()
    for n in range(5):
        store.append([model_attempt(n, trajectory=f"t{n}", session=f"t{n}")])
    metrics = Metrics(store)
    first = samples(metrics.text())
    assert store.reads == 5
    store.append([model_attempt(9, trajectory="t0", session="t0", end="failed", status=500)])
    second = samples(metrics.text())
    assert store.reads == 6
    assert second['ironcage_attempts{end="failed"}'] == 1
    assert second['ironcage_attempts{end="complete"}'] == first['ironcage_attempts{end="complete"}'] == 5
    store.delete("t1")
    assert samples(metrics.text())['ironcage_attempts{end="complete"}'] == 4


def test_empty_store_has_metrics_too() -> None:
    assert samples(Metrics(MemoryStore()).text()) == {"ironcage_bakeoffs": 0, "ironcage_tasks": 0}


def test_what_was_turned_away_at_the_door_is_counted_as_it_is_in_no_record() -> None:
    text = turned_away_text(Counter({"no_token": 3, "of_a_page": 1}))
    assert text.splitlines()[1:] == [
        "# TYPE ironcage_turned_away_total counter",
        'ironcage_turned_away_total{why="no_token"} 3',
        'ironcage_turned_away_total{why="of_a_page"} 1',
    ]
