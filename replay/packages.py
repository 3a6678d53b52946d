"""What an agent installed: the Python and Node packages that lie in its file system after a run and did not before.

Read from the file system, so packages that never crossed the network (a cache, a vendored wheel) count too. A Python
package is a `*.dist-info` folder (PyPA, core metadata), a Node package a `node_modules/NAME/package.json`.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from email.parser import HeaderParser
from functools import lru_cache, wraps
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from trajectory.runs import Package

MAX_FOLDERS = 10_000
"""Of all roots together; more are not listed, as a run should not wait for it."""
_NEVER = frozenset({".git", ".hg", "__pycache__", "proc", "sys"})
_MB = 1024 * 1024
_SETTLED_NS = 2_000_000_000  # of the clock of a file system: what changes twice within a tick of it looks the same


class Place(NamedTuple):
    """Where a package lies: the same package twice in one run is told apart by this."""

    ecosystem: Literal["python", "node"]
    name: str
    version: str
    folder: str


class TooManyFoldersError(Exception):
    """There is more to list than is worth the time."""


def roots_of(command: Sequence[str], cwd: Path, env: Mapping[str, str], *others: Path) -> tuple[Path, ...]:
    """Where an agent may install: its work folder, `others`, the user's own packages and the environment of its Python.

    The environment is that of VIRTUAL_ENV, or that of a command which lies in one.
    """
    found = [cwd, *others]
    if base := env.get("PYTHONUSERBASE"):
        found.append(Path(base))
    elif home := env.get("HOME"):
        found.append(Path(home) / ".local" / "lib")
    environments = [Path(env["VIRTUAL_ENV"])] if env.get("VIRTUAL_ENV") else []
    if (program := Path(command[0])).is_absolute():
        environments.append(program.parent.parent)
    found += [prefix / "lib" for prefix in environments if (prefix / "pyvenv.cfg").is_file()]
    return tuple(dict.fromkeys(path.resolve() for path in found if path.is_dir()))


def list_packages(roots: Iterable[Path]) -> frozenset[Place]:
    """Symbolic links are not followed. Raises TooManyFoldersError."""
    return frozenset(place for folder in _folders(roots) if (place := _place(folder)) is not None)


def installed(before: frozenset[Place], after: frozenset[Place]) -> tuple[Package, ...]:
    """What is new, by name, with the size on disk of the files that belong to it."""
    new = sorted(after - before)
    return tuple(
        Package(name=place.name, version=place.version, installed_mb=_bytes_of(place) / _MB, ecosystem=place.ecosystem)
        for place in new
    )


def _remembered[T](read: Callable[[str], T]) -> Callable[[str], T]:
    """`read`, but not again for a path where nothing has changed since: most runs install nothing."""
    at_state = lru_cache(maxsize=2 * MAX_FOLDERS)(lambda path, *_state: read(path))

    @wraps(read)
    def reading(path: str) -> T:
        try:
            found = os.stat(path)  # noqa: PTH116 -- pathlib would cost more than the stat
        except OSError:
            return read(path)
        if time.time_ns() - found.st_ctime_ns < _SETTLED_NS:
            return read(path)
        return at_state(path, found.st_dev, found.st_ino, found.st_ctime_ns)

    return reading


def _folders(roots: Iterable[Path]) -> Iterator[str]:
    waiting, seen = [str(root) for root in roots], 0
    known: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in known:
            continue
        known.add(path)
        folders = _folders_in(path)
        seen += len(folders)
        if seen > MAX_FOLDERS:
            raise TooManyFoldersError(f"more than {MAX_FOLDERS:,} folders")
        yield from folders
        waiting += folders


@_remembered
def _folders_in(path: str) -> tuple[str, ...]:
    try:
        with os.scandir(path) as entries:
            return tuple(one.path for one in entries if one.name not in _NEVER and one.is_dir(follow_symlinks=False))
    except OSError:  # it went away, or may not be read
        return ()


def _place(folder: str) -> Place | None:
    if folder.endswith(".dist-info"):
        return _python(folder)
    parent, name = os.path.split(folder)
    if parent.endswith(f"{os.sep}node_modules"):
        return None if name.startswith(("@", ".")) else _node(folder)
    return _node(folder) if f"{os.sep}node_modules{os.sep}@" in parent and _is_scope(parent) else None


def _is_scope(folder: str) -> bool:
    path = Path(folder)
    return path.name.startswith("@") and path.parent.name == "node_modules"


def _python(folder: str) -> Place | None:
    named = _named_in(os.path.join(folder, "METADATA"))  # noqa: PTH118 -- as above
    return Place("python", *named, folder) if named else None


@_remembered
def _named_in(metadata: str) -> tuple[str, str] | None:
    """Name and version."""
    try:
        head = HeaderParser().parsestr(Path(metadata).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    name, version = head.get("Name"), head.get("Version")
    return (str(name), str(version)) if name and version else None


class _Manifest(msgspec.Struct):
    name: str
    version: str


def _node(folder: str) -> Place | None:
    try:
        manifest = msgspec.json.decode((Path(folder) / "package.json").read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError):
        return None
    return Place("node", manifest.name, manifest.version, folder)


def _bytes_of(place: Place) -> int:
    if place.ecosystem == "node":
        return _bytes_under(Path(place.folder))
    return _bytes_recorded(Path(place.folder))


def _bytes_recorded(info: Path) -> int:
    """Of the files that RECORD lists (PyPA, recording installed projects), which lie beside the dist-info folder."""
    try:
        with (info / "RECORD").open(encoding="utf-8", errors="replace", newline="") as file:
            paths = {row[0] for row in csv.reader(file) if row}
    except (OSError, csv.Error):
        return _bytes_under(info)
    return sum(_bytes_at(info.parent / path) for path in paths)


def _bytes_under(folder: Path) -> int:
    """Of a package's own files, those of packages within it left out."""
    total = 0
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "node_modules"]
        total += sum(_bytes_at(Path(path) / name) for name in files)
    return total


def _bytes_at(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
