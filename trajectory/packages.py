"""Which packages an agent installed: what the roots of its packages hold, before and after.

A root is a `site-packages` folder, where each package has a `NAME-VERSION.dist-info`, or a `node_modules` folder, where
each has a `package.json`; nested `node_modules` belong to the same listing. 1 MB = 1024 * 1024 bytes.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from pathlib import Path

from trajectory.runs import Package

_MB = 1024 * 1024


def installed_packages(roots: Iterable[Path]) -> tuple[Package, ...]:
    """All packages below `roots`, sorted. A root that is not there holds none; what cannot be read is left out."""
    found: list[Package] = []
    for root in roots:
        found += _node_packages(root) if root.name == "node_modules" else _python_packages(root)
    return tuple(sorted(found, key=_order))


def added_packages(before: Iterable[Package], after: Iterable[Package]) -> tuple[Package, ...]:
    """Those of `after` that `before` has not in the same version; a version that changed counts as added."""
    known = {(one.ecosystem, one.name, one.version) for one in before}
    added = {key: one for one in after if (key := (one.ecosystem, one.name, one.version)) not in known}
    return tuple(sorted(added.values(), key=_order))


def _order(package: Package) -> tuple[str, str, str]:
    return package.ecosystem, package.name, package.version


def _python_packages(root: Path) -> Iterator[Package]:
    for info in sorted(root.glob("*.dist-info")):
        try:
            with (info / "METADATA").open(encoding="utf-8", errors="replace") as file:
                headers = HeaderParser().parse(file)
        except OSError:
            continue
        name, version = headers.get("Name"), headers.get("Version")
        if name and version:
            yield Package(name=name, version=version, installed_mb=_recorded_mb(root, info), ecosystem="python")


def _recorded_mb(root: Path, info: Path) -> float:
    """Of the files that the installer noted in RECORD; sizes are read from the disk, not believed."""
    try:
        with (info / "RECORD").open(encoding="utf-8", errors="replace", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row]
    except OSError:
        return _folder_mb(info)
    return sum(_size(root / name) for name in names) / _MB


def _node_packages(root: Path) -> Iterator[Package]:
    for folder in _node_folders(root):
        try:
            about = json.loads((folder / "package.json").read_text(encoding="utf-8", errors="replace"))
            name, version = str(about["name"]), str(about["version"])
        except (OSError, ValueError, KeyError, TypeError):
            about = None
        if about is not None:
            yield Package(name=name, version=version, installed_mb=_folder_mb(folder), ecosystem="node")
        if (folder / "node_modules").is_dir():
            yield from _node_packages(folder / "node_modules")


def _node_folders(root: Path) -> Iterator[Path]:
    """Packages are folders, or folders in a scope (`@scope/name`); links lead to what is not installed here."""
    if not root.is_dir():
        return
    for entry in sorted(root.iterdir()):
        if entry.is_symlink() or not entry.is_dir() or entry.name.startswith("."):
            continue
        if entry.name.startswith("@"):
            yield from (inner for inner in sorted(entry.iterdir()) if inner.is_dir() and not inner.is_symlink())
        else:
            yield entry


def _folder_mb(folder: Path) -> float:
    """Without the packages nested in it, which are listed by themselves."""
    total = 0
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "node_modules"]
        total += sum(_size(Path(path, name)) for name in files)
    return total / _MB


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        return 0
