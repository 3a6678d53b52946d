"""What one argument of a call must be, as a check of the arguments that are given."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from policies.arguments.paths import is_under
from policies.arguments.patterns import MAX_TEXT, Matches, found, whole
from policies.arguments.places import MisplacedError, find, segments
from policies.arguments.reading import FormText
from policies.arguments.settings import ArgumentConditions
from policies.arguments.urls import is_of
from policies.quoting import listed, shown

_MAX_NUMBER = 40  # characters


class Argument:
    """`name` is that of an argument, or a place within the arguments. `allowed` says what it must be."""

    def __init__(self, name: str, asked: ArgumentConditions) -> None:
        self._name = name
        self._path = segments(name)
        self._asked = asked
        self._checks = tuple(_checks(asked))
        self.allowed = f"{self._quoted} must be {described(asked)}."

    @property
    def _quoted(self) -> str:
        return f'"{shown(self._name)}"'

    def problem(self, given: dict[str, Any]) -> str:
        """What is wrong with this argument; empty if nothing is."""
        try:
            found = find(given, self._path)
        except MisplacedError as error:
            return f"{self._quoted} {error}"
        if found.is_missing and not self._asked.optional:
            return f"{self._quoted} is missing"
        judged = self._number if self._asked.is_number else self._text
        return next(filter(None, map(judged, found.values)), "")

    def _number(self, value: object) -> str:
        number = _number_of(value)
        if number is None:
            return f"{self._quoted} is not a number"
        low, high = self._asked.min, self._asked.max
        # as written in the settings: 0.1 means 0.1, not the float next to it
        is_low = low is not None and number < Decimal(str(low))
        is_high = high is not None and number > Decimal(str(high))
        return f"{self._quoted} is out of bounds" if is_low or is_high else ""

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            return f"{self._quoted} is not a text"
        if len(value) > MAX_TEXT:
            return f"{self._quoted} is longer than the {MAX_TEXT} characters that are judged"
        if not _is_unicode(value) or "\0" in value:
            return f"{self._quoted} holds characters that tools read in different ways"
        text = str(value)
        return next((f"{self._quoted} {why}" for meets, why in self._checks if not meets(text)), "")


def _checks(asked: ArgumentConditions) -> Iterator[tuple[Matches, str]]:
    """What a text must meet, and what is said of one that does not."""
    folders, hosts = asked.under, asked.hosts
    if folders is not None:
        yield lambda text: is_under(text, folders), "is not clearly a path in an allowed folder"
    if hosts is not None:
        yield lambda text: is_of(text, hosts), "is not clearly a URL of an allowed host"
    for pattern in asked.deny or ():
        yield partial(_without, found(pattern)), f"holds what {shown(pattern)} denies"
    if asked.allow is not None:
        patterns = [whole(pattern) for pattern in asked.allow]
        yield lambda text: any(matches(text) for matches in patterns), "matches none of the allowed patterns as a whole"


def _without(matches: Matches, text: str) -> bool:
    return not matches(text)


def described(asked: ArgumentConditions) -> str:
    """The conditions as the end of a sentence that begins with the argument's name and "must be"."""
    said = []
    if asked.is_number:
        bounds = [(asked.min, "at least"), (asked.max, "at most")]
        said.append("a number, " + " and ".join(f"{word} {bound:.15g}" for bound, word in bounds if bound is not None))
    if asked.under is not None:
        said.append(f"a path under {listed(asked.under)}, written without .., ~, $ or %")
    if asked.hosts is not None:
        said.append(f"an http or https URL of {listed(asked.hosts)}, without user name or password")
    if asked.allow is not None:
        said.append(f"a text that as a whole matches one of {listed(asked.allow)}")
    if asked.deny is not None:
        said.append(f"a text in which nothing matches {listed(asked.deny)}")
    return (" and ".join(said)) + (", or left out" if asked.optional else "")


def _number_of(value: object) -> Decimal | None:
    """A number of JSON, or of a query, where every number is a text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, FormText):
        digits = value.removeprefix("-").replace(".", "", 1)
        plain = len(value) <= _MAX_NUMBER and digits.isascii() and digits.isdigit() and value[-1].isdigit()
        return Decimal(str(value)) if plain and not value.startswith(".") else None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return None


def _is_unicode(text: str) -> bool:
    """Without half of a surrogate pair, which no text outside of JSON has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
