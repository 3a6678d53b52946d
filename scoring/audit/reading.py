"""Text as a model may read it: invisible characters gone, look-alike forms folded; with the way back to the original.

A zero-width space inside a word hides it from a search, not from a model.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

_TAGS = range(0xE0000, 0xE0080)
"""Tag characters: ASCII that no font shows, and that models read."""
_INVISIBLE = frozenset(
    [
        *range(0x200B, 0x2010),  # zero-width space and joiners, direction marks
        *range(0x202A, 0x202F),  # direction overrides
        *range(0x2060, 0x2070),  # word joiner, invisible operators, direction isolates
        *range(0xFE00, 0xFE10),  # variation selectors
        *range(0xE0100, 0xE01F0),
        *_TAGS,
        0x00AD,
        0x034F,
        0x061C,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        0x180E,
        0x3164,
        0xFEFF,
        0xFFA0,
    ]
)
_JOINERS = frozenset([0x200D, *range(0xFE00, 0xFE10), *range(0xE0020, 0xE0080)])
"""May stand after an emoji, where they only choose its look (a flag's region is written in tag characters)."""


@dataclass(frozen=True, slots=True)
class Folded:
    """`text` in lower case; `places[i]` is the place of its i-th character in the original, and then its end."""

    text: str
    places: tuple[int, ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        return self.places[start], self.places[end - 1] + 1 if end > start else self.places[start]


def fold(text: str) -> Folded:
    parts: list[str] = []
    places: list[int] = []
    for index, character in enumerate(text):
        if ord(character) in _INVISIBLE:
            continue
        for folded in unicodedata.normalize("NFKC", character).lower():
            parts.append(folded)
            places.append(index)
    return Folded("".join(parts), (*places, len(text)))


def invisible_runs(text: str) -> list[tuple[int, int, str]]:
    """(start, end, what it says) of each run of invisible characters; what only shapes an emoji is none."""
    runs: list[tuple[int, int, str]] = []
    start = 0
    while start < len(text):
        if ord(text[start]) not in _INVISIBLE:
            start += 1
            continue
        end = start
        while end < len(text) and ord(text[end]) in _INVISIBLE:
            end += 1
        run = text[start:end]
        if not (start and _is_emoji(text[start - 1]) and all(ord(c) in _JOINERS for c in run)):
            runs.append((start, end, _said(run)))
        start = end
    return runs


def _is_emoji(character: str) -> bool:
    return unicodedata.category(character) in ("So", "Sk") or character in "#*0123456789"


def _said(run: str) -> str:
    """Tag characters as the ASCII that they stand for; others by their names."""
    tags = "".join(chr(ord(c) - _TAGS.start) for c in run if ord(c) in range(0xE0020, 0xE007F))
    if tags:
        return f"reads {tags!r}"
    names = dict.fromkeys(unicodedata.name(c, f"U+{ord(c):04X}").lower() for c in run)
    return ", ".join(list(names)[:3])
