"""Paths as a tool may read them: what two readers could take for different places is no path here.

Symbolic links cannot be seen from here: whoever may write below a folder can make one that leads out of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_MAX_PATH = 4096
# Each of them some tool turns into another path, or into more than a path: an escape, a home, a variable, another
# separator, a pattern, the end of a shell's word.
_READ_OTHERWISE = frozenset("%~$\\*?|<>;&\"'`")


def check_folder(text: str) -> str:
    """`text` if it is a folder that paths can be compared with; ValueError otherwise."""
    if segments(text) is None:
        raise ValueError("a folder is a path like /workspace, data or . and goes through no ..")
    return text


def is_under(path: str, folders: Iterable[str]) -> bool:
    """Whether `path` is one of `folders` or below it. Absolute ones and relative ones are never under each other."""
    here = segments(path)
    return here is not None and any(
        here[0] == above[0] and here[1][: len(above[1])] == above[1] for above in map(segments, folders) if above
    )


def segments(path: str) -> tuple[bool, tuple[str, ...]] | None:
    """Whether it is absolute, and its names; None for a path that could be read in two ways."""
    if not 0 < len(path) <= _MAX_PATH or path != path.strip() or not path.isprintable():
        return None
    if not _READ_OTHERWISE.isdisjoint(path) or path.startswith("//"):
        return None
    if _separators(path) != _separators(unicodedata.normalize("NFKC", path)):
        return None  # a full-width slash, a one-dot leader: somebody's file system folds them
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    if any(not name.strip(". ") or name != name.strip() for name in names):
        return None  # .., or what some systems shorten to it
    if any(":" in name for name in names):
        return None  # a scheme, a drive, a stream
    return path.startswith("/"), names


def _separators(path: str) -> tuple[int, ...]:
    return tuple(path.count(character) for character in "/.:\\%~$")
