from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.alignment import NOTHING, Alignment, Match, align, errors_recovered, exact_repeats, similarity
from scoring.paths import Call, read_arguments
from tests.support.tau_paths import AIRLINE_KINDS, TauRun, airline_paths, retail_paths


def call(tool: str, /, **arguments: Any) -> Call:
    return Call(tool, json.dumps(arguments))


def alike(a: str, b: str) -> float:
    return similarity(read_arguments(a), read_arguments(b))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "B"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("kl"), inner, max_size=2),
    max_leaves=5,
)
arguments = st.dictionaries(st.sampled_from("xyz"), values, max_size=3).map(json.dumps)
some_calls = st.lists(st.builds(Call, st.sampled_from(["a", "b"]), arguments), max_size=4)

unhurried = settings(deadline=None, max_examples=40)
"""The first assignment loads scipy."""


@given(arguments, arguments)
def test_similarity_is_symmetric_bounded_and_1_for_equal_values(a: str, b: str) -> None:
    assert alike(a, b) == alike(b, a)
    assert 0 <= alike(a, b) <= 1
    assert alike(a, a) == 1
    assert (alike(a, b) == 1) == (read_arguments(a) == read_arguments(b))


@unhurried
@given(some_calls, some_calls)
def test_precision_of_one_side_is_recall_of_the_other(a: list[Call], b: list[Call]) -> None:
    here, there = align(a, b), align(b, a)
    assert here.every.precision == pytest.approx(there.every.recall)
    assert here.every.f1 == pytest.approx(there.every.f1)
    assert here.order == pytest.approx(there.order)
    assert (here.every.extra, here.every.exact) == (there.every.missing, there.every.exact)


@unhurried
@given(some_calls, some_calls)
def test_every_measure_lies_between_0_and_1_and_order_is_not_above_f1(a: list[Call], b: list[Call]) -> None:
    found = align(a, b)
    measures = (found.every.precision, found.every.recall, found.every.f1, found.order)
    assert all(0 <= measure <= 1 + 1e-12 for measure in measures)
    assert found.order <= found.every.f1 + 1e-12
    assert found.every.exact <= found.every.similarity + 1e-12


@unhurried
@given(some_calls, some_calls, st.randoms())
def test_what_was_called_does_not_depend_on_the_order(a: list[Call], b: list[Call], random: Any) -> None:
    shuffled = random.sample(a, len(a))
    here, there = align(a, b).every, align(shuffled, b).every
    assert here.similarity == pytest.approx(there.similarity)
    assert (here.actual, here.reference, here.exact) == (there.actual, there.reference, there.exact)


@unhurried
@given(some_calls, some_calls)
def test_no_other_pairing_has_a_larger_sum(a: list[Call], b: list[Call]) -> None:
    short, long = sorted((a, b), key=len)

    def total(chosen: Sequence[Call]) -> float:
        pairs = zip(short, chosen, strict=True)
        return sum(similarity(x.node, y.node) for x, y in pairs if x.tool == y.tool)

    best = max(total(chosen) for chosen in permutations(long, len(short)))
    assert align(a, b).every.similarity == pytest.approx(best)


def test_no_other_pairing_has_a_larger_sum_where_there_are_too_many_to_try() -> None:
    """Each call is half like its neighbours; paired in reverse, all are like none."""
    actual = [call("a", x=i, y=i + 1) for i in range(6)]
    reference = [call("a", x=i, y=i) for i in reversed(range(6))]
    assert align(actual, reference).every.similarity == pytest.approx(3.0)
    assert align(actual, actual[::-1]).every.exact == 6


@unhurried
@given(some_calls)
def test_a_path_agrees_with_itself(a: list[Call]) -> None:
    found = align(a, a)
    assert (found.every.precision, found.every.recall, found.every.f1, found.order) == (1, 1, 1, 1)


def test_the_same_call_twice_on_both_sides_is_1() -> None:
    """confident-ai/deepeval#3141: scored 0.5 there."""
    twice = [call("search", query="x"), call("search", query="x")]
    assert align(twice, twice).every.recall == 1.0


def test_no_call_on_either_side_is_1_and_on_one_side_0() -> None:
    none, one = align([], []), align([call("a")], [])
    assert (none.every.precision, none.every.recall, none.every.f1, none.order) == (1, 1, 1, 1)
    assert (one.every.precision, one.every.recall, one.every.f1, one.order) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ('{"x": 1, "y": 2}', '{"y":2.0,"x":1e0}', 1.0),
        ('{"x": 1}', '{"x": true}', 0.0),
        ('{"x": 1}', '{"x": "1"}', 0.0),
        ('{"x": 0.1}', '{"x": 0.10000000000000000001}', 0.0),
        ('{"x": 100000000000000000000000}', '{"x": 1e23}', 1.0),
        ('{"x": 1, "y": 2}', '{"x": 1, "z": 2}', 1 / 3),
        ('{"x": {"a": 1, "b": 2}, "y": 3}', '{"x": {"a": 1, "b": 0}, "y": 3}', 0.75),
        ('{"x": [1, 2, 3]}', '{"x": [1, 2]}', 2 / 3),
        ('{"x": []}', '{"x": {}}', 0.0),
        ("", "{}", 1.0),
        ("{oh", "{oh", 1.0),
        ("{oh", "{ah", 0.0),
        ('{"x": 1, "x": 2}', '{"x": 2}', 0.0),
        ('{"x": NaN}', '{"x": NaN}', 1.0),
    ],
)
def test_arguments_are_compared_as_json_values(a: str, b: str, expected: float) -> None:
    assert alike(a, b) == pytest.approx(expected)


def test_texts_are_exact_unless_folding_is_asked_for() -> None:
    here, there = [call("say", text="Hello  World", to=["A"])], [call("say", text="hello world", to=["a"])]
    assert align(here, there).every.f1 == 0
    assert align(here, there, fold_text=True).every.f1 == 1


def test_the_best_sum_beats_taking_the_first_match() -> None:
    """Greedy pairs the first call with its like and leaves nothing for the second."""
    actual = [call("a", x=1, y=1), call("a", x=1, y=2)]
    reference = [call("a", x=1, y=3), call("a", x=1, y=1)]
    assert align(actual, reference).every.similarity == pytest.approx(1.5)


def test_order_falls_where_the_same_calls_come_in_another_order() -> None:
    a, b = call("a"), call("b")
    found = align([a, b], [b, a])
    assert (found.every.f1, found.order) == (1.0, 0.5)


def test_reads_and_writes_are_told_apart_where_they_are_declared_and_are_unknown_else() -> None:
    actual, reference = [call("get", x=1), call("put", x=1), call("new")], [call("put", x=1), call("put", x=2)]
    found = align(actual, reference, {"get": "read", "put": "write"})
    assert found.reads is not None
    assert found.writes is not None
    assert (found.reads.actual, found.reads.reference, found.reads.precision) == (1, 0, 0.0)
    assert (found.writes.precision, found.writes.recall, found.every.actual) == (1.0, 0.5, 3)
    plain = align(actual, reference)
    assert (plain.reads, plain.writes) == (None, None)


def test_repeats_are_calls_made_before_with_the_same_arguments() -> None:
    assert exact_repeats([Call("a", '{"x": 1}'), call("b"), Call("a", '{"x":1.0}'), call("a", x=2)]) == 1


def test_an_error_is_recovered_by_a_later_success_of_the_same_intent() -> None:
    def ends(*made: tuple[Call, bool]) -> tuple[int, int] | None:
        return errors_recovered([Call(one.tool, one.arguments, failed) for one, failed in made])

    assert ends((call("get", id="a"), True), (call("get", id="b"), False)) == (1, 1)
    assert ends((call("get", id="a"), True), (call("put", id="a"), False)) == (1, 0)
    assert ends((call("get", id="a"), False), (call("get", id="a"), True)) == (1, 0)
    assert ends((call("get", id="a"), True), (call("get", id="a"), True), (call("get", id="a"), False)) == (2, 2)
    assert ends((call("add", a=1, b=2, c=3, d=4), True), (call("add", a=9, b=9, c=9, d=4), False)) == (1, 0)
    assert errors_recovered([call("get")]) is None


def micro(runs: Sequence[TauRun]) -> tuple[Match, list[Alignment]]:
    found = [align(run.path.calls, run.reference.calls, AIRLINE_KINDS) for run in runs]
    total = found[0].every
    for one in found[1:]:
        total += one.every
    return total, found


def shares(runs: Sequence[TauRun]) -> tuple[float, float, float]:
    """Precision and recall over all calls, a call counting where its arguments are equal; calls per run."""
    total, _ = micro(runs)
    precision, recall = total.exact / total.actual, total.exact / total.reference
    return round(precision, 3), round(recall, 3), round(total.actual / len(runs), 1)


def test_airline_precision_and_recall_are_those_measured_before() -> None:
    runs = airline_paths()
    assert shares(runs)[:2] == (0.336, 0.619)
    assert shares([run for run in runs if run.passed]) == (0.409, 0.759, 4.1)
    assert shares([run for run in runs if not run.passed]) == (0.305, 0.560, 7.0)


def test_airline_reads_and_writes_apart_tell_what_the_whole_hides() -> None:
    """Looking up is found again four times in five; what the run changed agrees with the reference in a third."""
    _, found = micro(airline_paths())
    reads, writes = (
        sum((match for one in found if (match := getattr(one, kind))), NOTHING) for kind in ("reads", "writes")
    )
    assert (reads.actual, reads.reference, reads.exact) == (678, 372, 303)
    assert (writes.actual, writes.reference, writes.exact) == (298, 240, 88)
    assert round(writes.recall, 3) == 0.525


def test_retail_precision_and_recall_are_those_measured_before() -> None:
    assert shares(retail_paths("plain")) == (0.575, 0.837, 7.9)


def test_airline_errors_and_repeats_are_those_measured_before() -> None:
    paths = [run.path.calls for run in airline_paths()]
    ends = [found for calls in paths if (found := errors_recovered(calls)) is not None]
    assert sum(map(len, paths)) == 1164
    assert sum(map(exact_repeats, paths)) == 32
    assert sum(errors for errors, _ in ends) == 73
    assert 0 < sum(recovered for _, recovered in ends) < 73
