from __future__ import annotations

import json

import pytest

from scoring.paths import Call, Path
from scoring.quality import RunQuality, assess, pool_quality
from tests.support.tau_paths import AIRLINE_KINDS, airline_paths

REFERENCE = Path((Call("get", '{"id": 1}'), Call("put", '{"id": 1, "to": "a"}')), "done", "reference")


def assessed(*calls: Call, reference: Path | None = REFERENCE, trajectory: str = "run") -> RunQuality:
    return assess(Path(calls, "done", trajectory), reference, {"get": "read", "put": "write"})


def test_precision_over_runs_weighs_each_call_once_not_each_run() -> None:
    """One of one call is like the reference in one run, one of four in the other: 2 of 5, not the mean of 1 and 1/4."""
    get, other = REFERENCE.calls[0], Call("other")
    pool = pool_quality([("t1", assessed(get)), ("t2", assessed(get, other, other, other))])
    assert pool.every is not None
    assert pool.every.precision.value == pytest.approx(2 / 5)
    assert (pool.every.actual, pool.every.reference) == (5, 4)
    assert (pool.mean_extra.value, pool.mean_repeats.value) == (1.5, 1.0)


def test_without_a_reference_the_path_is_unknown_and_repeats_are_not() -> None:
    get = REFERENCE.calls[0]
    run = assessed(get, get, reference=None)
    pool = pool_quality([("t1", run)])
    assert (run.alignment, run.divergence, run.repeats) == (None, None, 1)
    assert (pool.every, pool.same_path.value, pool.mean_repeats.value) == (None, None, 1)
    assert pool.order.unknown_because == "no run has a reference path other than itself"


def test_a_run_is_not_compared_with_itself() -> None:
    assert assessed(*REFERENCE.calls, trajectory="reference").alignment is None
    assert assessed(*REFERENCE.calls).alignment is not None


def test_failed_calls_are_unknown_where_nobody_says_how_calls_ended() -> None:
    failed, fine = Call("get", '{"id": 1}', True), Call("get", '{"id": 2}', False)
    pool = pool_quality([("t1", assessed(failed, fine)), ("t2", assessed(Call("get")))])
    assert (pool.mean_errors.value, pool.mean_errors.n, pool.recovered.value) == (1, 1, 1)
    blind = pool_quality([("t2", assessed(Call("get")))])
    assert (blind.mean_errors.value, blind.recovered.value) == (None, None)


def test_first_differences_are_counted_by_kind_with_their_median() -> None:
    get, put = REFERENCE.calls
    runs = [assessed(put), assessed(get), assessed(get, Call("put", "{}")), assessed(get, put)]
    pool = pool_quality([(f"t{i}", run) for i, run in enumerate(runs)])
    assert pool.differences == {"arguments": 1, "ended": 1, "tool": 1}
    assert (pool.median_call, pool.same_path.value, pool.compared) == (2, 0.25, 4)


def test_airline_intervals_are_wider_than_if_calls_were_independent() -> None:
    pool = pool_quality([(run.task, assess(run.path, run.reference, AIRLINE_KINDS)) for run in airline_paths()])
    assert pool.every is not None
    exact = pool.every.exact_precision
    assert round(exact.value or 0, 3) == 0.336
    assert exact.low is not None
    assert exact.high is not None
    naive = 1.96 * (0.336 * 0.664 / 1164) ** 0.5
    assert exact.high - exact.low > 2 * 1.3 * naive
    assert json.loads(pool.model_dump_json())["compared"] == 200
