r"""Other spellings of a text: what a reader or a program downstream would take it for.

Undone: full-width and other compatibility characters, digits of other scripts, zero-width and soft-hyphen
characters, dots, dashes, spaces and at-signs that only look like the ASCII ones, percent-encoding, HTML character
references and \\uXXXX escapes, one level each. Not undone: letters of other alphabets that look Latin, values
written as words ("bob at example dot org"), base64 and other encodings of whole values, values cut over two texts.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

_ESCAPES = (
    r"(?<=%)[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2}){0,63}"
    r"|(?<=&)(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,10});"
    r"|(?<=\\)\\{0,14}u[0-9A-Fa-f]{4}"
)
_ESCAPED = re.compile(rf"[%&\\](?:{_ESCAPES})")
_ESCAPED_OR_FOREIGN = re.compile(rf"[%&\\\x80-\U0010ffff](?:{_ESCAPES}|(?<=[\x80-\U0010ffff]))")
_LOOKALIKES = {
    "\u3002": ".",  # ideographic full stop
    "\u06d4": ".",  # Arabic full stop
    "\u2043": "-",  # hyphen bullet
    "\u2212": "-",  # minus sign
    "\u2215": "/",
    "\u2044": "/",
}
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)


@dataclass(frozen=True, slots=True)
class Folded:
    """`text` with, for each character run, where it began in the original."""

    text: str
    _starts: tuple[int, ...]
    _origins: tuple[tuple[int, int], ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the original that became `start` to `end` (a non-empty span)."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, position: int) -> tuple[int, int]:
        run = bisect_right(self._starts, position) - 1
        begin, width = self._origins[run]
        if width == 0:  # copied as it stood
            original = begin + position - self._starts[run]
            return original, original + 1
        return begin, begin + width


def fold(text: str) -> Folded | None:
    """None when the text has no other spelling, which is nearly always and costs nearly nothing to see."""
    if text.isascii() and "%" not in text and "&" not in text and "\\u" not in text:
        return None
    pattern = _ESCAPED_OR_FOREIGN if _holds_lookalikes(text) else _ESCAPED
    runs = _Runs()
    copied = 0
    for match in pattern.finditer(text):
        written = _decoded(match.group())
        if written is None:
            continue
        runs.copy(text, copied, match.start())
        runs.put(written, match.start(), match.end())
        copied = match.end()
    if copied == 0:
        return None
    runs.copy(text, copied, len(text))
    return Folded("".join(runs.parts), tuple(runs.starts), tuple(runs.origins))


def _holds_lookalikes(text: str) -> bool:
    return not text.isascii() and any(_plain_character(character) != character for character in set(text))


class _Runs:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.starts: list[int] = []
        self.origins: list[tuple[int, int]] = []
        self._length = 0

    def copy(self, text: str, start: int, end: int) -> None:
        if start < end:
            self._add(text[start:end], (start, 0))

    def put(self, written: str, start: int, end: int) -> None:
        if written:
            self._add(written, (start, end - start))

    def _add(self, part: str, origin: tuple[int, int]) -> None:
        self.parts.append(part)
        self.starts.append(self._length)
        self.origins.append(origin)
        self._length += len(part)


def _decoded(spelled: str) -> str | None:
    """What `spelled` stands for, or None when it stands for itself."""
    if spelled[0] == "%":
        raw = bytes.fromhex(spelled.replace("%", ""))
        return _plain(raw.decode("utf-8", "replace"))
    if spelled[0] == "&":
        decoded = html.unescape(spelled)
        return None if decoded == spelled else _plain(decoded)
    if spelled[0] == "\\":
        return _plain(chr(int(spelled[-4:], 16)))
    plain = _plain(spelled)
    return None if plain == spelled else plain


def _plain(characters: str) -> str:
    return "".join(_plain_character(character) for character in characters)


@lru_cache(maxsize=8192)
def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    if _INVISIBLE.match(character):
        return ""
    alike = _LOOKALIKES.get(character)
    if alike is not None:
        return alike
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    compatible = unicodedata.normalize("NFKC", character)
    if compatible.isascii():
        return compatible
    category = unicodedata.category(character)
    return {"Pd": "-", "Zs": " "}.get(category, character)
