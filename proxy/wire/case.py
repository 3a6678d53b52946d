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


class ReplyKeys:
    """Keys by which a client finds a call in a reply, and what it is called with.

    Replies have few shapes, and each chunk of a stream has the last one's: the keys of an object are looked at once.
    """

    def __init__(self, *known: str) -> None:
        self._known = frozenset(known)
        self._leading: dict[tuple[str, ...], tuple[str, ...]] = {}
        """By the keys of an object, none of which is in another case: those that lead to other objects."""

    def check(self, reply: object, what: str) -> None:
        """`check_case` of a reply or a chunk: of every object that these keys lead to. What stands below other keys,
        arguments or schemas, is the client's own.
        """
        waiting = [reply]
        for here in waiting:
            if type(here) is dict:
                keys = tuple(here)
                leading = self._leading.get(keys)
                if leading is None:
                    leading = self._looked_at(here, keys, what)
                for key in leading:
                    below = here[key]
                    if type(below) is dict or type(below) is list:
                        waiting.append(below)
            elif type(here) is list:
                waiting += here

    def _looked_at(self, here: Mapping[str, Any], keys: tuple[str, ...], what: str) -> tuple[str, ...]:
        check_case(here, self._known, what)
        leading = tuple(key for key in keys if key in self._known and key not in _GIVEN)
        if len(self._leading) < _MOST_SHAPES and sum(map(len, keys)) < _LARGEST_SHAPE:
            self._leading[keys] = leading
        return leading


_GIVEN = frozenset({"arguments", "input"})
_MOST_SHAPES = 1_000
_LARGEST_SHAPE = 500
"""Characters of all keys."""


@lru_cache(maxsize=64)
def _folded(known: frozenset[str]) -> frozenset[str]:
    """Unicode folding: U+017F folds to `s` and U+212A to `k`, in Go too."""
    return frozenset(key.casefold() for key in known)
