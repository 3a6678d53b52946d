"""Where a phone number may stand. Stricter than any phone library: agent traffic is full of other numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_EXTENSION = r"(?:[ ,;]{0,3}(?:ext\.?|extension|x)[ .:]{0,2}\d{1,6})?"
_RUN = re.compile(rf"[0-9][0-9 ().\-/]{{5,}}[0-9]{_EXTENSION}", re.IGNORECASE)
_PREFIX_REVERSED = re.compile(r"(?:\+\(?|\()?")
_AMERICAN = r"(?<![\d.-])\(?\d{3}\)?[ .-]{1,2}\d{3}[.-]\d{4}(?![\d-])"
_SHAPE = re.compile(r"\+\d{1,3}[ .\-/]?(?:\(\d{1,4}\)[ .\-/]?)?\d(?:[ .\-/]?\d){5,12}(?!\d)|" + _AMERICAN)
# Across a slash stands another value, and no path: one that is masked already, or a second phone number.
_VALUE_BEFORE = re.compile(rf"(?:\0|{_AMERICAN})/\Z")
_VALUE_AFTER = re.compile(rf"/(?:\0|{_AMERICAN})")
_LONGEST_RUN = 40
_MOST_DIGITS = 15
"""Of one number, by E.164."""
_GROUPS_TOO_MANY = 2
_DATE = re.compile(r"(?<!\d)(?:\d{4}([-./])\d{1,2}\1\d{1,2}|\d{1,2}([-./])\d{1,2}\2\d{4}|\d{1,2}/\d{1,2}/\d{2})(?!\d)")
_DOTTED = re.compile(r"(?:\+?1[ .])?\(?\d{3}\)?[. ]{1,2}\d{3}\.\d{4}")
_WORD = re.compile(
    r"(?:(?<![a-z])(?:tele)?(?:phone|fax)|phone(?![a-z])|(?<![a-z])(?:tel|cell|mobile|mobil|telefon|whatsapp|sms|msisdn|dial|handy)(?![a-z])"
    r"|(?<![a-z_.])call(?:ing|ed)?(?![a-z_(.])|(?<![a-z])reach(?:ed)?[ ](?:me|us|him|her|them|you)(?![a-z]))",
    re.IGNORECASE,
)
_STEMS = ("phone", "fax", "tel", "cell", "mobil", "whatsapp", "sms", "msisdn", "dial", "handy", "call", "reach")
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_WORD_BEFORE = 40
_WORD_AFTER = 20
_JOINING = "-_.:/=@#%"


@dataclass(frozen=True, slots=True)
class PhoneWindow:
    """`told`: a word near it speaks of phones. `everywhere`: written as nations other than US and Canada do."""

    start: int
    end: int
    told: bool
    everywhere: bool


def phone_windows(text: str) -> Iterator[PhoneWindow]:
    speaks_of_phones: bool | None = None
    for run in _RUN.finditer(text):
        start, end = run.span()
        start -= len(_PREFIX_REVERSED.match(text[max(0, start - 2) : start][::-1]).group())  # type: ignore[union-attr]
        if end - start <= _LONGEST_RUN:
            pieces = _with_shapes(text, _between_dates(text, start, end))
        else:  # a table of numbers: only what has the full shape of a phone number
            pieces = (match.span() for match in _SHAPE.finditer(text, start, end))
        if speaks_of_phones is None:
            lower = text.lower()
            speaks_of_phones = any(stem in lower for stem in _STEMS)
        for start, end in pieces:
            window = _judged(text, start, end, speaks_of_phones)
            if window is not None:
                yield window


def is_plausible(text: str, start: int, end: int, *, told: bool) -> bool:
    """Whether what the phone library took for a number is written and placed as one."""
    number = text[start:end]
    if "+" in number[:2]:
        return not (text[start - 1 : start].isalnum() and start > 0)
    if not told:
        if number.count("(") != number.count(")"):
            return False
        if number.isdigit() or ("." in number and not _DOTTED.fullmatch(number)):
            return False
        if number.count(" ") + number.count("-") + number.count("/") > 5:
            return False
    return not _joined(text, start, end, told=told)


def _between_dates(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for date in _DATE.finditer(text, start, end):
        yield start, date.start()
        start = date.end()
    yield start, end


def _with_shapes(text: str, pieces: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Each piece, and what in it has the full shape of a number: a count or a card number beside it hides no phone."""
    for start, end in pieces:
        yield start, end
        for shape in _SHAPE.finditer(text, start, end):
            # in a piece short enough for one number, a point may be a decimal one: `1 234 567.8901`
            decimal = "." in shape.group() and sum(map(str.isdigit, text[start:end])) <= _MOST_DIGITS
            if shape.span() != (start, end) and not decimal:
                yield shape.span()
            if shape.group()[0] == "+":  # its length is not known: `+44 20 7946 0958 7`
                yield from _without_last_groups(text, *shape.span())


def _without_last_groups(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for _ in range(_GROUPS_TOO_MANY):
        end = max(text.rfind(sign, start, end) for sign in " .-/)")
        if end < start:
            return
        yield start, end


def _judged(text: str, start: int, end: int, speaks_of_phones: bool) -> PhoneWindow | None:
    while start < end and text[start] in " .-/)":
        start += 1
    number = text[start:end].rstrip(" .-/(")
    if number[0:1] == "(" and ")" not in number:  # opens a remark, not an area code
        start, number = start + 1, number[1:]
    end = start + len(number)
    digits = sum(map(str.isdigit, number))
    international = "+" in number[:2]
    if not 7 <= digits <= 30 or _DECIMAL.fullmatch(number):
        return None
    told = speaks_of_phones and (
        _WORD.search(text, max(0, start - _WORD_BEFORE), start) is not None
        or _WORD.search(text, end, end + _WORD_AFTER) is not None
    )
    if not international and not told and (digits < 9 or digits == len(number) or _is_dotted_otherwise(number)):
        return None
    everywhere = not international and (told or number[0] in "0(")
    return PhoneWindow(start, end, told or international, everywhere)


def _is_dotted_otherwise(number: str) -> bool:
    return number.replace(".", "").isdigit() and not _DOTTED.fullmatch(number)


def _joined(text: str, start: int, end: int, *, told: bool) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    beside_value = before == "/" and _VALUE_BEFORE.search(text, max(0, start - _WORD_AFTER), start) is not None
    if not beside_value and (
        before.isalnum() or (before and before in _JOINING + "$\0" and not (told and before in ":=/#."))
    ):
        return True
    if not after or _VALUE_AFTER.match(text, end):
        return False
    if after[0].isalnum():
        return True
    # a full stop or colon ends a sentence or a clause unless something follows at once
    return after[0] in _JOINING and (len(after) > 1 and not after[1].isspace() and after[1] not in "\"')]}\\<")
