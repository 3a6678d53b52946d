"""Judges calls of tools by their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from policies.arguments.paths import is_under
from policies.arguments.patterns import MAX_TEXT, Matches, found, whole
from policies.arguments.places import MisplacedError, find, segments
from policies.arguments.reading import FormText, UnclearError, read_arguments
from policies.arguments.settings import ArgumentConditions, ArgumentSettings
from policies.arguments.urls import is_of
from policies.ledger import Ledger
from policies.quoting import listed, shown
from policies.tool_names import ToolEntry, readings
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, Refuse, Verdict
from trajectory.events import CallProposed, Event, ToolAsked

_MAX_NUMBER = 40  # characters


class ToolArguments:
    """Refuses a call of a tool that `settings` names unless all values at each place named there meet its conditions.

    A name that ends in `*` stands for all tools that begin so; of several that match, all must be met. A tool is the
    one that is named by each of its `readings`. Doubt refuses: arguments that cannot be read in one way only, a value
    of another kind, an argument that is not there. What a refusal says quotes the conditions, never a value.
    """

    name: ClassVar[str] = "tool_arguments"
    events: ClassVar[frozenset[type[Event]]] = frozenset({CallProposed, ToolAsked})
    reads_arguments: ClassVar[bool] = True

    def __init__(self, settings: ArgumentSettings) -> None:
        self._entries = tuple(
            (ToolEntry.of(entry), [_Argument(*one) for one in arguments.items()])
            for entry, arguments in settings.items()
        )

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, CallProposed):
            concerning = self._concerning((event.name, *event.aliases))
            if event.arguments is None:
                return AWAIT_ARGUMENTS if concerning else ALLOW
            return self._judged(event.name, event.arguments, concerning)
        if isinstance(event, ToolAsked) and event.upstream is not None:
            concerning = self._concerning((event.tool, *event.aliases))
            if event.unread and concerning:
                return self._refusal(event.tool, event.unread, concerning)
            return self._judged(event.tool, event.arguments, concerning, may_be_query=True)
        return ALLOW

    def _concerning(self, names: tuple[str, ...]) -> list[_Argument]:
        read = readings(*names)
        return [argument for entry, arguments in self._entries if entry.concerns(read) for argument in arguments]

    def _judged(self, tool: str, text: str, concerning: list[_Argument], *, may_be_query: bool = False) -> Verdict:
        if not concerning:
            return ALLOW
        try:
            given = read_arguments(text, may_be_query=may_be_query)
        except UnclearError as error:
            return self._refusal(tool, f"{error}, so they cannot be judged", concerning)
        for argument in concerning:
            problem = argument.problem(given)
            if problem:
                return self._refusal(tool, problem, [argument])
        return ALLOW

    def _refusal(self, tool: str, why: str, concerning: list[_Argument]) -> Refuse:
        allowed = " ".join(dict.fromkeys(argument.allowed for argument in concerning))
        return Refuse(
            code="tool_arguments_refused",
            rule=self.name,
            message=(
                f'The call of the tool "{shown(tool)}" was refused by its arguments (policies.tools.arguments): {why}. '
                f"{allowed}"
            ),
            subject=shown(tool),
        )


class _Argument:
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
        said.append("a number, " + " and ".join(f"{word} {bound:g}" for bound, word in bounds if bound is not None))
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
