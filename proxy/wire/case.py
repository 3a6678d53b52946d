"""Keys that only some readers take for another: JSON readers in Go match keys whatever their case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from trajectory.errors import FormatError


def check_case(value: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    """Raises FormatError where `value` has a key that a reader which ignores case would take for a known one."""
    for key in value:
        if key not in known and key.casefold() in _folded(known):
            raise FormatError(f"{what} has the key {key[:40]!r}, which some readers take for a key in lower case")


def check_cases(values: Iterable[object], known: frozenset[str], what: str) -> None:
    for value in values:
        if isinstance(value, dict):
            check_case(value, known, what)


@lru_cache(maxsize=64)
def _folded(known: frozenset[str]) -> frozenset[str]:
    """Unicode folding: U+017F folds to `s` and U+212A to `k`, in Go too."""
    return frozenset(key.casefold() for key in known)
