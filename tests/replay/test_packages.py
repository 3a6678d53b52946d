from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from replay import packages
from replay.packages import TooManyFoldersError, installed, list_packages, roots_of
from trajectory.runs import Package


def wheel(folder: Path, name: str, size: int) -> Path:
    """A wheel with one module of `size` bytes."""
    file = folder / f"{name}-1.2.0-py3-none-any.whl"
    info = f"{name}-1.2.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "#" * size)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


def node(folder: Path, name: str, size: int) -> None:
    package = folder / "node_modules" / name
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": name, "version": "3.0.0"}), encoding="utf-8")
    (package / "index.js").write_text("x" * size, encoding="utf-8")


def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders whose contents are read from now on."""
    read: list[str] = []
    scandir = os.scandir

    def reading(path: str) -> Any:
        read.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", reading)
    return read


def test_what_pip_installed_is_listed_with_its_size(tmp_path: Path) -> None:
    target, cwd = tmp_path / "lib", tmp_path / "work"
    target.mkdir(), cwd.mkdir()
    before = list_packages([cwd, target])
    files = [str(wheel(tmp_path, "left", 100_000)), str(wheel(tmp_path, "right", 10))]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(target)]
    subprocess.run([*pip, *files], check=True, timeout=60)
    found = installed(before, list_packages([cwd, target]))
    assert [(one.name, one.version, one.ecosystem) for one in found] == [
        ("left", "1.2.0", "python"),
        ("right", "1.2.0", "python"),
    ]
    assert 100_000 <= found[0].installed_mb * 1024 * 1024 < 105_000
    assert installed(list_packages([target]), list_packages([target])) == ()


def test_node_packages_are_listed_each_with_its_own_files(tmp_path: Path) -> None:
    node(tmp_path, "plain", 2000)
    node(tmp_path, "@scope/inner", 500)
    node(tmp_path / "node_modules" / "plain", "nested", 3000)
    (tmp_path / "node_modules" / ".bin").mkdir()
    found = {one.name: one for one in installed(frozenset(), list_packages([tmp_path]))}
    assert set(found) == {"plain", "@scope/inner", "nested"}
    assert 2000 <= found["plain"].installed_mb * 1024 * 1024 < 2100
    assert isinstance(found["nested"], Package)


def test_what_has_not_changed_is_not_read_again_and_what_has_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_SETTLED_NS", 0)
    read = scanned(monkeypatch)
    node(tmp_path / "left", "first", 10)
    before = list_packages([tmp_path])
    seen = len(read)
    assert seen > 1
    assert list_packages([tmp_path]) == before
    assert len(read) == seen

    folder = tmp_path / "left" / "node_modules"
    changed = folder.stat().st_ctime_ns
    while folder.stat().st_ctime_ns == changed:  # until the file system's clock has moved on
        os.utime(folder)
    node(tmp_path / "right", "second", 10)
    assert [one.name for one in installed(before, list_packages([tmp_path]))] == ["second"]


def test_what_changed_a_moment_ago_is_read_again_though_it_looks_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = scanned(monkeypatch)
    node(tmp_path, "first", 10)
    before = list_packages([tmp_path])
    seen = len(read)
    assert list_packages([tmp_path]) == before
    assert len(read) == 2 * seen


def test_broken_metadata_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "a-1.dist-info").mkdir()
    (tmp_path / "b-1.dist-info").mkdir()
    (tmp_path / "b-1.dist-info" / "METADATA").write_bytes(b"\xff\xfe nothing")
    (tmp_path / "node_modules" / "c").mkdir(parents=True)
    (tmp_path / "node_modules" / "c" / "package.json").write_text('{"name": 3}', encoding="utf-8")
    assert list_packages([tmp_path, tmp_path / "absent"]) == frozenset()


def test_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    assert list_packages([tmp_path]) == frozenset()


def test_too_much_to_list_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MAX_FOLDERS", 3)
    for number in range(4):
        (tmp_path / str(number)).mkdir()
    with pytest.raises(TooManyFoldersError):
        list_packages([tmp_path])


def test_roots_are_where_the_agent_may_install(tmp_path: Path) -> None:
    cwd, scratch, venv = tmp_path / "work", tmp_path / "tmp", tmp_path / "venv"
    for folder in (cwd, scratch, venv / "bin", venv / "lib", tmp_path / "home" / ".local" / "lib"):
        folder.mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    env = {"HOME": str(tmp_path / "home")}
    found = roots_of([str(venv / "bin" / "python"), "agent.py"], cwd, env, scratch)
    assert found == (cwd, scratch, tmp_path / "home" / ".local" / "lib", venv / "lib")
    assert roots_of(["python", "agent.py"], cwd, {"VIRTUAL_ENV": str(venv)}) == (cwd, venv / "lib")
    assert roots_of(["/usr/bin/python3"], cwd, {"PYTHONUSERBASE": str(scratch)}) == (cwd, scratch)
