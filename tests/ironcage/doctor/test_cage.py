from __future__ import annotations

from pathlib import Path

from ironcage.doctor.cage import check_cage
from ironcage.doctor.report import Line


def by_name(lines: list[Line]) -> dict[str, Line]:
    return {line.name.removeprefix("cage: "): line for line in lines}


def test_nothing_of_a_cage_fails_here() -> None:
    lines = list(check_cage())
    assert len(lines) == 4
    assert [line for line in lines if line.status == "fail"] == []


def test_missing_kernel_features_are_warnings_that_say_what_they_cost(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    lines = by_name(list(check_cage(tmp_path, tmp_path / "no-cgroups")))
    assert [lines[name].status for name in ("process tree", "memory", "cgroups")] == ["warn"] * 3
    assert all(line.hint for line in lines.values() if line.status == "warn")


def test_both_versions_of_cgroups_are_told_apart(tmp_path: Path) -> None:
    second, first = tmp_path / "v2", tmp_path / "v1"
    second.mkdir()
    (second / "cgroup.controllers").write_text("cpuset cpu io memory pids\n", encoding="ascii")
    (first / "memory").mkdir(parents=True)
    assert by_name(list(check_cage(cgroups=second)))["cgroups"].message == "v2 offers cpu, memory, pids"
    assert by_name(list(check_cage(cgroups=first)))["cgroups"].message == "v1 offers memory"


def test_without_proc_there_is_one_warning(tmp_path: Path) -> None:
    assert [line.status for line in check_cage(tmp_path)] == ["warn"]
