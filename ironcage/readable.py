r"""What an agent wrote, as a person must see it before they decide on it: nothing hidden, nothing in disguise.

Characters that show nothing, turn the direction of writing, or look like others (a Cyrillic letter in an English word,
a full-width slash) are written as \u and their number; long runs of blanks, which push what follows out of sight, are
counted. In JSON the escapes of ordinary characters are undone, in which a path could hide from the eye. Words in any
script stay as they are.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ironcage.console.wording import is_nested_json, laid_out

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters and symbols that show nothing (default ignorable, or blank by design), whatever their category says.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0")
_LOOKALIKE_SIGNS = frozenset("⁄∕⧸∶꞉ː‐‑−‚ǃ。⁎∗")  # noqa: RUF001 - they are what is looked for
# Letters that pass for Latin ones, by script.
_LOOKALIKES = {
    "CYRILLIC": frozenset("асеорхуіјѕԁһӏԛԝѵАВСЕНІЈКМОРЅТХУҮԌ"),  # noqa: RUF001
    "GREEK": frozenset("οναρυικτγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"),
}
_EAST_ASIAN = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"}
"""Scripts that stand beside Latin letters in one word, and look like none of them."""
_WORD = re.compile(r"[^\W\d_]+")
_REMARKABLE = re.compile(r" {12,}|(?:\n[ \t]*){4,}|[^ !#-\[\]-~]")
"""Long runs of blanks or of line breaks; else one character that is not plainly itself."""
_SHORT_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_CONTINUED = "\n│ "
"""What stands before each further line of a string: no text in it can pass for the structure around it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`is_odd`: written in place of something that could not be seen, or passed for something else."""

    text: str
    is_odd: bool = False


def visible(text: str) -> str:
    """On one line."""
    return "".join(piece.text for piece in pieces(text))


def pieces(text: str) -> list[Piece]:
    return _joined(_pieces(text, in_json=False))


def readable_arguments(arguments: str) -> list[Piece]:
    """JSON over several lines in its own order, with double keys and numbers as written; other text as it is."""
    if not is_nested_json(arguments):
        return _joined(_pieces(arguments, in_json=False, breaks_lines=True))
    return _joined(_arguments(arguments))


def _arguments(arguments: str) -> Iterator[Piece]:
    for token in laid_out(arguments):
        if token.startswith('"'):
            yield Piece('"')
            yield from _pieces(json.loads(token), in_json=True, breaks_lines=True)
            yield Piece('"')
        else:
            yield Piece(token)


def _pieces(text: str, *, in_json: bool, breaks_lines: bool = False) -> Iterator[Piece]:
    mimics = _mimics(text)
    position = 0
    for found in _REMARKABLE.finditer(text):
        yield Piece(text[position : found.start()])
        position = found.end()
        if len(found[0]) > 1:
            breaks = found[0].count("\n")
            yield Piece(f"⟦{breaks} line breaks⟧" if breaks else f"⟦{len(found[0])} blanks⟧", is_odd=True)
            if breaks and breaks_lines:
                yield Piece(_CONTINUED)
        elif found[0] == "\n" and breaks_lines:
            yield Piece(f"\\n{_CONTINUED}")
        elif found[0] in _SHORT_ESCAPES:
            yield Piece(_SHORT_ESCAPES[found[0]] if in_json or found[0] < " " else found[0])
        elif found.start() in mimics or _hides(found[0]):
            yield Piece(_escaped(found[0]), is_odd=True)
        else:
            yield Piece(found[0])
    yield Piece(text[position:])


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\u{{{code:x}}}"


@lru_cache(maxsize=4096)
def _hides(character: str) -> bool:
    category = unicodedata.category(character)
    if category in _HIDDEN or character in _BLANK or character in _LOOKALIKE_SIGNS:
        return True
    if category == "Zs":
        return character != " "
    if "VARIATION SELECTOR" in unicodedata.name(character, ""):
        return True
    if category[0] in "LP" or category == "Nd":  # full-width and mathematical letters, ligatures, dots
        plain = unicodedata.normalize("NFKC", character)
        return not character.isascii() and plain.isascii() and (category[0] != "P" or len(plain) == 1)
    return False


def _mimics(text: str) -> frozenset[int]:
    """Places of letters that pass for Latin ones: in words of two scripts, or in words of such letters only where the
    rest of the text has no word of their script.
    """
    if text.isascii():
        return frozenset()
    words = [(found.start(), found[0], _scripts(found[0])) for found in _WORD.finditer(text) if not found[0].isascii()]
    genuine = {
        script
        for _, word, scripts in words
        for script in scripts
        if len(set(scripts)) == 1 and not set(word) <= _LOOKALIKES.get(script, frozenset())
    }
    odd: set[int] = set()
    for start, word, scripts in words:
        is_mixed = "LATIN" in scripts
        for at, (letter, script) in enumerate(zip(word, scripts, strict=True)):
            is_foreign = letter.isalpha() and script not in _EAST_ASIAN and script != "LATIN"
            is_lookalike = letter in _LOOKALIKES.get(script, ()) and script not in genuine
            if is_foreign and (is_mixed or is_lookalike):
                odd.add(start + at)
    return frozenset(odd)


def _scripts(word: str) -> list[str]:
    return [_script(letter) for letter in word]


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return re.split("[ -]", unicodedata.name(letter, "UNNAMED"), maxsplit=1)[0]


def _joined(pieces: Iterator[Piece]) -> list[Piece]:
    """Plain neighbours as one, empty ones left out."""
    found: list[Piece] = []
    plain: list[str] = []
    for piece in pieces:
        if not piece.is_odd:
            plain.append(piece.text)
            continue
        found += [Piece("".join(plain)), piece]
        plain.clear()
    return [piece for piece in (*found, Piece("".join(plain))) if piece.text]
