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


_GIVEN = frozenset({"arguments", "input"})


def check_reply(value: object, known: frozenset[str], what: str) -> None:
    """`check_case` of a reply or a chunk: of every object that its `known` keys lead to. What stands below other keys,
    arguments or schemas, is the client's own.
    """
    folded, waiting = _folded(known), [value]
    while waiting:
        here = waiting.pop()
        if type(here) is dict:
            for key, below in here.items():
                if key not in known:
                    if key.casefold() in folded:
                        check_case(here, known, what)
                elif key not in _GIVEN and type(below) is not str:
                    waiting.append(below)
        elif type(here) is list:
            waiting += here


@lru_cache(maxsize=64)
def _folded(known: frozenset[str]) -> frozenset[str]:
    """Unicode folding: U+017F folds to `s` and U+212A to `k`, in Go too."""
    return frozenset(key.casefold() for key in known)
