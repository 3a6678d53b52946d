from __future__ import annotations

import json
from collections import defaultdict
from itertools import combinations
from statistics import median
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scoring.divergence import MAX_SHOWN, diverge
from scoring.paths import Call, Path
from tests.support.tau_paths import airline_paths, retail_paths

paths = st.builds(
    lambda letters, answer: Path(tuple(Call(tool) for tool in letters), answer),
    st.lists(st.sampled_from("abc"), max_size=5),
    st.none() | st.sampled_from(["yes", "no"]),
)


def path(*calls: Call, answer: str | None = None) -> Path:
    return Path(calls, answer)


def call(tool: str, /, **arguments: Any) -> Call:
    return Call(tool, json.dumps(arguments), step=7)


@given(paths, paths)
def test_a_divergence_seen_from_the_other_side_is_the_same(a: Path, b: Path) -> None:
    here, there = diverge(a, b), diverge(b, a)
    assert (here.differs, here.at_call, here.arguments) == (there.differs, there.at_call, there.arguments)
    assert (here.here, here.there) == (there.there, there.here)
    assert here.distance == there.distance
    assert 0 <= here.distance <= 1


@given(paths, paths, paths)
def test_a_way_round_is_no_shorter(a: Path, b: Path, c: Path) -> None:
    """In edits; the distance divides them by the longer of the two runs."""

    def edits(x: Path, y: Path) -> float:
        return diverge(x, y).distance * max(len(x.calls), len(y.calls))

    assert edits(a, c) <= edits(a, b) + edits(b, c) + 1e-9


@given(paths)
def test_a_path_does_not_differ_from_itself(a: Path) -> None:
    found = diverge(a, a)
    assert (found.differs, found.distance, found.at_call) == (None, 0, len(a.calls) + 1)


def test_another_tool_is_told_before_its_arguments() -> None:
    found = diverge(path(call("a"), call("b", x=1)), path(call("a"), call("c", x=2)))
    assert (found.differs, found.at_call, found.step, found.before) == ("tool", 2, 7, "a {}")
    assert (found.here, found.there) == ('b {"x": 1}', 'c {"x": 2}')
    assert found.distance == 0.5


def test_arguments_that_differ_are_named() -> None:
    found = diverge(path(call("a", x=1, y=2)), path(call("a", y=3, x=1.0, z=None)))
    assert (found.differs, found.arguments) == ("arguments", ("y", "z"))


def test_ending_early_is_told_with_the_last_words() -> None:
    found = diverge(path(call("a"), answer="Done."), path(call("a"), call("b")))
    assert (found.differs, found.at_call, found.step) == ("ended", 2, None)
    assert found.here == "(no further call) Done."


def test_after_the_same_calls_the_last_words_differ_or_nothing_does() -> None:
    same, other = path(call("a"), answer="It is  DONE"), path(call("a"), answer="It is not")
    assert diverge(same, path(call("a"), answer="it is done")).differs is None
    assert diverge(same, path(call("a"))).differs is None
    found = diverge(same, other)
    assert (found.differs, found.at_call, found.here, found.distance) == ("text", 2, "It is DONE", 0)


def test_long_calls_are_cut_where_they_are_shown() -> None:
    assert len(diverge(path(call("a", x="y" * 5000)), path()).here) == MAX_SHOWN


def test_two_runs_of_one_model_on_one_airline_task_seldom_make_the_same_calls() -> None:
    by_task: defaultdict[str, list[Path]] = defaultdict(list)
    for run in airline_paths():
        by_task[run.task].append(Path(run.path.calls))
    found = [diverge(a, b) for group in by_task.values() for a, b in combinations(group, 2)]
    assert len(found) == 300
    assert round(100 * sum(one.differs is None for one in found) / len(found), 1) == 7.3
    assert median(one.at_call for one in found if one.differs) == 2


def test_two_retail_agents_part_at_the_fifth_call() -> None:
    advice = {run.task: Path(run.path.calls) for run in retail_paths("advice")}
    found = [diverge(Path(run.path.calls), advice[run.task]) for run in retail_paths("plain")]
    assert sum(one.differs is None for one in found) == 12
    assert median(one.at_call for one in found if one.differs) == 5
