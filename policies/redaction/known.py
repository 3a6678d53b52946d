"""Exact search for many declared values at once."""

from __future__ import annotations

import re

_GRAM = 4
_FEW = 48
"""Up to so many values, one substring search each beats cutting the text into four-letter pieces."""


class KnownValues:
    """Values of at least four characters, each with a kind; found anywhere, also inside words and URLs.

    Cost per text: one substring search per value while there are few, one pass over the text for any number.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._by_gram: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, kind: str, value: str) -> None:
        """The first kind under which a value was added stays."""
        if len(value) < _GRAM:
            raise ValueError(f"a known value has at least {_GRAM} characters")
        if value not in self._kinds:
            self._kinds[value] = kind
            self._by_gram.setdefault(value[:_GRAM], []).append(value)

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, kind) from left to right, not overlapping; of two values at one place the longer one."""
        present = self._present(text)
        if not present:
            return []
        present.sort(key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, present)))
        return [(*match.span(), self._kinds[match.group()]) for match in pattern.finditer(text)]

    def _present(self, text: str) -> list[str]:
        if len(self._kinds) <= _FEW:
            return [value for value in self._kinds if value in text]
        grams = {text[start : start + _GRAM] for start in range(len(text) - _GRAM + 1)}
        return [value for gram in self._by_gram.keys() & grams for value in self._by_gram[gram] if value in text]
