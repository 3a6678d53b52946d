from __future__ import annotations

from scoring.packages import needed_packages, pool_packages, unneeded_packages
from trajectory.runs import Package


def packages(*names: str, version: str = "1") -> tuple[Package, ...]:
    return tuple(Package(name=name, version=version, installed_mb=2.0, ecosystem="python") for name in names)


def test_what_the_reference_installed_is_needed_whatever_its_version() -> None:
    needed = needed_packages(reference=[("t1", packages("a", version="2"))], passed=[("t1", packages())])
    assert unneeded_packages("t1", packages("a", "b"), needed) == packages("b")


def test_without_a_reference_a_run_that_passed_shows_what_can_be_done_without() -> None:
    needed = needed_packages(reference=[], passed=[("t1", packages("a", "b")), ("t1", packages("b", "c"))])
    assert unneeded_packages("t1", packages("a", "b", "c"), needed) == packages("a", "c")


def test_where_nobody_passed_and_no_reference_was_looked_at_it_is_unknown() -> None:
    assert unneeded_packages("t1", packages("a"), {}) is None
    pool = pool_packages([("t1", packages("a"))], {})
    assert pool is not None
    assert (pool.mean_count.value, pool.mean_mb.value, pool.mean_unneeded.value) == (1, 2, None)


def test_runs_are_pooled_with_the_commonest_names_first() -> None:
    needed = {"t1": frozenset({"python:a"}), "t2": frozenset[str]()}
    pool = pool_packages([("t1", packages("a", "b")), ("t2", packages("a", "b", "c"))], needed)
    assert pool is not None
    assert pool.installed == {"python:a": 2, "python:b": 2, "python:c": 1}
    assert pool.unneeded == {"python:b": 2, "python:a": 1, "python:c": 1}
    assert (pool.mean_unneeded.value, pool.mean_unneeded_mb.value) == (2, 4)
    assert pool_packages([], needed) is None
