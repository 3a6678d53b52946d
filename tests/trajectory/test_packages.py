from __future__ import annotations

import json
from pathlib import Path

import pytest

from trajectory.packages import added_packages, installed_packages
from trajectory.runs import Package


def python_package(root: Path, name: str, version: str, size: int = 1024) -> None:
    info = root / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (root / name).mkdir()
    (root / name / "__init__.py").write_bytes(b"#" * size)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nNot a header: x\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,sha256=x,1\n{name}/gone.py,,\n{info.name}/RECORD,,\n")


def node_package(folder: Path, name: str, version: str, size: int = 1024) -> None:
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    (folder / "index.js").write_bytes(b"/" * size)


def test_python_packages_have_name_version_and_the_size_of_their_files(tmp_path: Path) -> None:
    root = tmp_path / "site-packages"
    python_package(root, "requests", "2.32.0", size=2 * 1024 * 1024)
    (root / "broken-1.0.dist-info").mkdir()
    (found,) = installed_packages([root, tmp_path / "absent"])
    assert (found.name, found.version, found.ecosystem) == ("requests", "2.32.0", "python")
    assert found.installed_mb == pytest.approx(2.0, abs=0.001)


def test_node_packages_are_found_in_scopes_and_below_each_other_and_counted_once(tmp_path: Path) -> None:
    root = tmp_path / "node_modules"
    node_package(root / "left-pad", "left-pad", "1.3.0", size=1024 * 1024)
    node_package(root / "left-pad" / "node_modules" / "inner", "inner", "0.1.0", size=512 * 1024)
    node_package(root / "@scope" / "tool", "@scope/tool", "2.0.0")
    (root / ".bin").mkdir()
    (root / "link").symlink_to(root / "left-pad")
    (root / "not-json").mkdir()
    (root / "not-json" / "package.json").write_text("{")
    found = {one.name: one.installed_mb for one in installed_packages([root])}
    assert sorted(found) == ["@scope/tool", "inner", "left-pad"]
    assert found["left-pad"] == pytest.approx(1.0, abs=0.001)


def test_what_was_added_is_new_or_has_another_version() -> None:
    def package(name: str, version: str = "1") -> Package:
        return Package(name=name, version=version, installed_mb=1, ecosystem="python")

    before = [package("a"), package("b"), package("c")]
    after = [package("d"), package("a"), package("b", "2"), package("d")]
    assert added_packages(before, after) == (package("b", "2"), package("d"))
    assert added_packages(after, after) == ()
