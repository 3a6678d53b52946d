"""Files and folders that an agent changes, given back before each trial as they were when the bake-off began.

1. The snapshot is taken once, and kept until the bake-off is over: one that was killed in the middle goes on from the
   state that it began with, not from what the last trial left.
2. Trials that change such files run one after the other (replay/executors/admission.py).
3. What is put back is complete before what stood there goes: a kill between the two leaves the one or the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.world.simulator import file_digest
from trajectory.errors import OperatorError

_MANIFEST = "manifest.json"
_NEW, _OLD = ".ironcage-new", ".ironcage-old"


@dataclass(frozen=True, slots=True)
class Reset:
    """`paths` and, under `folder`, what they held; `digests` beside each. A path that was absent is removed again."""

    paths: tuple[Path, ...]
    folder: Path
    digests: tuple[str, ...]
    is_new: bool = True
    """It was taken now, and not found."""

    @property
    def digest(self) -> str:
        """Of what each trial begins with; where it stands on this machine is not part of it."""
        return hashlib.blake2b(" ".join(self.digests).encode(), digest_size=16).hexdigest()

    def restore(self) -> None:
        """Blocks. Raises OSError, and then leaves what stood there or what was to stand there."""
        for number, path in enumerate(self.paths):
            _put_back(self.folder / str(number), path)

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def take_snapshot(paths: Sequence[Path], folder: Path) -> Reset:
    """Copy `paths` into `folder`, or find there what an earlier start of the same bake-off has copied. Blocks.

    OperatorError for a path that cannot be copied, or that had better not be replaced: a root, a home, what holds
    the snapshot itself, or one inside another.
    """
    wanted = tuple(Path(os.path.abspath(path)) for path in paths)  # noqa: PTH100 (a link is a file, not its target)
    _check(wanted, folder)
    manifest = folder / _MANIFEST
    if manifest.is_file():
        kept = json.loads(manifest.read_text(encoding="utf-8"))
        if kept["paths"] != [str(path) for path in wanted]:
            raise OperatorError(
                f"the bake-off was begun with other files to reset: {', '.join(kept['paths'])}",
                hint="name the same ones, or begin a new bake-off",
            )
        return Reset(wanted, folder, tuple(kept["digests"]), is_new=False)
    shutil.rmtree(folder, ignore_errors=True)  # half a snapshot, of a start that was killed
    try:
        folder.mkdir(parents=True, mode=0o700)
        for number, path in enumerate(wanted):
            _copy(path, folder / str(number))
        digests = tuple(tree_digest(folder / str(number)) for number in range(len(wanted)))
    except OSError as e:
        raise OperatorError(f"--reset: {e}", hint="name files and folders that can be read") from None
    written = folder / f"{_MANIFEST}{_NEW}"
    written.write_text(json.dumps({"paths": [str(path) for path in wanted], "digests": digests}), encoding="utf-8")
    written.replace(manifest)
    return Reset(wanted, folder, digests)


def _check(paths: Sequence[Path], folder: Path) -> None:
    snapshot = folder.resolve()
    for path in paths:
        if path.parent == path or path == Path.home() or snapshot.is_relative_to(path.resolve()):
            raise OperatorError(f"--reset {path}: this is not replaced", hint="name what the agent itself writes")
        for other in paths:
            if other is not path and other.is_relative_to(path):
                raise OperatorError(f"--reset {other} lies in {path}", hint="name the outer one alone")


def tree_digest(path: Path) -> str:
    """Of names, contents, links and modes below `path`; of nothing, if it is not there."""
    hashed = hashlib.blake2b(digest_size=16)
    for name, content in _entries(path):
        hashed.update(f"{name}\0{content}\0".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    if not path.exists() and not path.is_symlink():
        return
    below = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else []
    for one in (path, *below):
        mode = one.lstat().st_mode
        content = os.readlink(one) if stat.S_ISLNK(mode) else file_digest(one) if stat.S_ISREG(mode) else ""  # noqa: PTH115
        yield str(one.relative_to(path)), f"{stat.S_IFMT(mode):o} {stat.S_IMODE(mode):o} {content}"


def _put_back(kept: Path, path: Path) -> None:
    new, old = (path.with_name(path.name + suffix) for suffix in (_NEW, _OLD))
    _remove(new)
    _remove(old)
    _copy(kept, new)
    if path.exists() or path.is_symlink():
        path.rename(old)
    if new.exists() or new.is_symlink():
        new.rename(path)
    _remove(old)


def _copy(source: Path, target: Path) -> None:
    """With modes, times and links as they are; nothing where there is nothing."""
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists() or source.is_symlink():
        shutil.copy2(source, target, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
