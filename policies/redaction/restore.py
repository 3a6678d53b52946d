"""Putting values back where the model wrote their tokens, in whole texts and in streams."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from policies.redaction.tokens import LONGEST_UNDECIDED, TOKEN, UNDECIDED

Lookup = Callable[[str], str | None]
"""The value of a token, or None: then the token stays as it is."""
Escape = Callable[[str], str]
"""Writes a value so that it is right at the place where it lands (see json_escape)."""
_LINE_ENDS = frozenset("\x85\u2028\u2029")


def as_written(value: str) -> str:
    return value


def json_escape(value: str, levels: int) -> str:
    """`value` as it stands inside a JSON string that is itself nested in `levels` - 1 JSON strings; 0: unchanged."""
    for _ in range(levels):
        value = json.dumps(value, ensure_ascii=_is_misread(value))[1:-1]
    return value


def restore(text: str, lookup: Lookup, escape: Escape = as_written) -> str:
    """One pass from left to right, so a restored value is never searched for tokens again."""
    if "PII_" not in text:
        return text

    def written(match: re.Match[str]) -> str:
        value = lookup(match.group())
        return match.group() if value is None else escape(value)

    return TOKEN.sub(written, text)


class Restorer:
    """`restore` for a text that arrives in pieces, cut anywhere: the joined output is the same for every cut.

    Holds back only an end of the text that may still become a token, at most 30 characters.
    """

    __slots__ = ("_escape", "_held", "_lookup")

    def __init__(self, lookup: Lookup, escape: Escape = as_written) -> None:
        self._lookup = lookup
        self._escape = escape
        self._held = ""

    @property
    def held(self) -> str:
        """What has arrived and is not yet decided, exactly as it arrived."""
        return self._held

    def feed(self, piece: str) -> str:
        if not self._held and "P" not in piece:
            return piece
        text = self._held + piece
        decided = self._decided(text)
        self._held = text[decided:]
        return restore(text[:decided], self._lookup, self._escape)

    def flush(self) -> str:
        """The end of the text has come: what was held is no token."""
        held, self._held = self._held, ""
        return held

    def _decided(self, text: str) -> int:
        search_from = max(0, len(text) - LONGEST_UNDECIDED)
        if "PII_" in text:
            # what begins inside a complete token is part of that token
            for match in TOKEN.finditer(text):
                search_from = max(search_from, match.end())
        undecided = UNDECIDED.search(text, search_from)
        return len(text) if undecided is None else undecided.start()


def _is_misread(value: str) -> bool:
    """Whether it has half of a surrogate pair, or what some readers take for the end of a line."""
    if not _LINE_ENDS.isdisjoint(value):
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False
