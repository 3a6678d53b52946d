"""Where in a call's arguments the values stand that conditions are for.

A plain name is an argument. What begins with `$` is a JSONPath (RFC 9535), of which these segments are read: `.name`,
`['name']`, `..name` (at any depth), `[*]` and `.*` (each element or member).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from policies.spelling import folded

MAX_VALUES = 4096
"""That one path may lead to in one call; more are not judged, so the call is refused."""

_MAX_LOOKS = 2**20
"""At elements and members: more than a call's arguments can have, each looked at once."""
Kind = Literal["name", "any", "below"]
_SEGMENT = re.compile(
    r"""\.\.(?P<below>[^\W\d][\w-]*)|\.(?P<name>[^\W\d][\w-]*)|\[(?P<quote>['"])(?P<quoted>[^'"\\]+)(?P=quote)\]|\[\*\]|\.\*"""
)


class MisplacedError(ValueError):
    """What stands at a place cannot be what its conditions are for. The message ends a sentence about the place."""


@dataclass(frozen=True, slots=True)
class Segment:
    kind: Kind
    name: str = ""


def check_place(text: str) -> str:
    """`text` if it is an argument's name or such a path; ValueError otherwise."""
    segments(text)
    return text


def segments(text: str) -> tuple[Segment, ...]:
    """Raises ValueError."""
    if not text.startswith("$"):
        return (Segment("name", text),)
    found: list[Segment] = []
    at = 1
    while at < len(text) or not found:
        match = _SEGMENT.match(text, at)
        if match is None:
            raise ValueError(
                "a place that begins with $ is a JSONPath of .name, ['name'], ..name and [*], like $.items[*].path"
            )
        found.append(_segment(match))
        at = match.end()
    return tuple(found)


def _segment(match: re.Match[str]) -> Segment:
    if match["below"]:
        return Segment("below", match["below"])
    name = match["name"] or match["quoted"]
    return Segment("name", name) if name else Segment("any")


@dataclass(slots=True)
class Found:
    """`is_missing`: somewhere a value could stand, and none does."""

    values: list[Any]
    is_missing: bool = False
    looks: int = 0

    def look_at(self, value: dict[str, Any] | list[Any]) -> None:
        """What stands below something that stands below something itself would be looked at again and again."""
        self.looks += len(value) + 1
        if self.looks > _MAX_LOOKS:
            raise MisplacedError("leads to more places than are looked at")


def find(given: dict[str, Any], path: tuple[Segment, ...]) -> Found:
    """All values at a place. Raises MisplacedError where a tool may find others there than these."""
    found = Found([given])
    for segment in path:
        found.values = [below for value in found.values for below in _follow(value, segment, found)]
        if len(found.values) > MAX_VALUES:
            raise MisplacedError(f"stands for more than the {MAX_VALUES} values that are judged")
    return found


def _follow(value: Any, segment: Segment, found: Found) -> Iterator[Any]:
    if isinstance(value, dict | list):
        found.look_at(value)
    if segment.kind == "any":
        if not isinstance(value, dict | list):
            raise MisplacedError("asks for a list where there is none")
        yield from value.values() if isinstance(value, dict) else value
    elif segment.kind == "below":
        yield from _below(value, segment.name, found)
    elif not isinstance(value, dict):
        raise MisplacedError("asks for an object where there is none")
    elif _has(value, segment.name):
        yield value[segment.name]
    else:
        found.is_missing = True


def _below(value: Any, name: str, found: Found) -> Iterator[Any]:
    """Missing only where it stands nowhere: not every object has to have it."""
    waiting, is_missing = [value], True
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict | list):
            found.look_at(here)
        if isinstance(here, dict):
            if _has(here, name):
                is_missing = False
                yield here[name]
            waiting += here.values()
        elif isinstance(here, list):
            waiting += here
    found.is_missing = found.is_missing or is_missing


def _has(given: dict[str, Any], name: str) -> bool:
    spelled = folded(name)
    if any(key != name and folded(key) == spelled for key in given):
        raise MisplacedError("has a neighbour that is spelled almost alike, which a tool may take for it")
    return name in given
