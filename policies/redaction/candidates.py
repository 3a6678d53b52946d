"""Where in a text a recogniser is worth calling, and which neighbours speak against it.

Each function is one linear pass that yields short windows, so that no input can make a recogniser slow. Nothing
spans a line end. The rules of precision come from agent traffic: model names, time-stamps, versions, identifiers,
tables of numbers and floats are what fills it, and all of them look like personal data to a bare pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Window = tuple[int, int]

# A pattern that begins with plain characters lets `re` skip to them; so what must not stand before is checked after.
_LOCAL_REVERSED = re.compile(r"[\w.+%~-]+(?:'[\w.+%~-]+)*")
_HOST = re.compile(r"@([\w-]{1,63}(?:\.[\w-]{1,63}){1,20})")
_MAX_LOCAL = 64
_PYTHON_PREFIX = re.compile(r"(?<!\w)[bBuUfFrR]{1,2}'")

_CARD = re.compile(r"[0-9](?<![0-9][0-9])(?:[ -]?[0-9]){11,}")
_CARD_DIGITS = range(12, 20)
_CARD_CHARACTERS = range(15, 24)
"""A card number in groups, with the signs between them."""
_DIGITS = re.compile(r"[0-9]+")
_CARD_WORD = re.compile(r"card|visa|mastercard|amex|maestro|discover|jcb|diners|\bcc\b|\bpan\b", re.IGNORECASE)
_CARD_LENGTHS = {"4": {13, 16, 19}, "5": {16}, "6": {16, 17, 18, 19}, "34": {15}, "37": {15}, "35": {16}}
_DINERS = {"30", "36", "38", "39"}

_IBAN = re.compile(r"[0-9]{2}(?<=(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2})(?:[ -]?[A-Za-z0-9]){11,34}")

_SSN_DASHED = re.compile(r"[0-9](?<![\w.-][0-9])[0-9]{2}-[0-9]{2}-[0-9]{4}(?![\w-])(?!\.[0-9])")
_SSN_LOOSE = re.compile(
    r"[0-9](?<![\w.-][0-9])"
    r"(?:[0-9]{2}([ .])[0-9]{2}\1[0-9]{4}|[0-9]{8}|[0-9]{4}-[0-9]{4}|[0-9]{2}-[0-9]{6})"
    r"(?![\w-])(?!\.[0-9])"
)
_SSN_WORD = re.compile(r"(?<![a-z])(?:ssns?|social[ _-]?security|itin|tin|taxpayer)(?![a-z])", re.IGNORECASE)

_IPV4 = re.compile(r"[0-9](?<![0-9.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9])(?!\.[0-9])")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]*:)[0-9a-fA-F:]{3,39}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])"
)
_TWO_COLONS = re.compile(r":[0-9a-fA-F]{0,4}:")
_VERSION_BEFORE = re.compile(
    r"(?:[A-Za-z]|[=<>~!]=|[~^]|[A-Za-z][\w-]*/|(?<![\w.-])[0-9]{1,4}/"
    r"|(?:version|release|build|ver)\.?[ \"':=]{1,4})\Z",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"-?[^\W\d]|_")
_NOT_A_PERSON = re.compile(r"(?:127|0)\.|255\.(?:0|128|192|224|240|248|252|254|255)\.")


def email_windows(text: str) -> Iterator[Window]:
    """Local part and host around each at-sign. Of an overlong local part only the last 64 characters count."""
    at = text.find("@")
    while at >= 0:
        host = _HOST.match(text, at)
        if host is not None and not host.group().rpartition(".")[2].isdigit():
            end = at + len(host.group().rstrip("_-"))
            before = text[max(0, at - _MAX_LOCAL) : at][::-1]
            local = _LOCAL_REVERSED.match(before)
            if local is not None and not _is_ssh_remote(text, at, end):
                start = at - len(local.group())
                quoted = _PYTHON_PREFIX.match(text, start)
                start = quoted.end() if quoted else start
                while start < at and text[start] in "._-%~+":
                    start += 1
                if start < at:
                    yield start, end
        at = text.find("@", at + 1)


def _is_ssh_remote(text: str, at: int, end: int) -> bool:
    return text[max(0, at - 3) : at] == "git" and text[end : end + 1] in {":", "/"}


def card_windows(text: str) -> Iterator[Window]:
    for match in _CARD.finditer(text):
        for start, end in _card_parts(text, *match.span()):
            if not (_joined_before(text, start) or _joined_after(text, end)) and _is_card_length(text, start, end):
                yield start, end


def _card_parts(text: str, start: int, end: int) -> Iterator[Window]:
    """The run of digits, each long group in it, and each few groups that could be a card among its neighbours.

    Neighbours are an expiry date (`4111 … 1111 12/27`), a phone number, another card: the run has any length.
    """
    groups = [(start + one.start(), start + one.end()) for one in _DIGITS.finditer(text[start:end])]
    if sum(last - first for first, last in groups) in _CARD_DIGITS:
        yield start, end
    for place, (first, first_end) in enumerate(groups):
        if first_end - first in _CARD_DIGITS and (first, first_end) != (start, end):
            yield first, first_end
        if first_end - first != 4:
            continue
        for last_start, last in groups[place + 1 : place + _CARD_CHARACTERS.stop // 2]:
            if last - first >= _CARD_CHARACTERS.stop:
                break
            whole = (first, last) == (start, end)
            if 3 <= last - last_start <= 6 and last - first in _CARD_CHARACTERS and not whole:
                yield first, last


def _is_card_length(text: str, start: int, end: int) -> bool:
    digits = text[start:end].replace(" ", "").replace("-", "")
    lengths = _CARD_LENGTHS.get(digits[0]) or _CARD_LENGTHS.get(digits[:2])
    if lengths is None and digits[:2] in _DINERS:
        lengths = {14, 16}
    usual = lengths is not None and len(digits) in lengths
    return (usual and len(digits) <= 16) or _CARD_WORD.search(text, max(0, start - 40), start) is not None


def _joined_before(text: str, start: int) -> bool:
    """Whether a number is the tail of something longer: an identifier, a float, a path."""
    before = text[max(0, start - 2) : start]
    if not before:
        return False
    if before[-1] == "." and before[:1].isdigit():
        return True
    return before[-1].isalnum() or before[-1] in "_-@%$\0"


def _joined_after(text: str, end: int) -> bool:
    after = text[end : end + 2]
    if not after:
        return False
    if after[0] in ".,:" and after[1:].isdigit():
        return after[0] == "."
    return after[0].isalnum() or after[0] in "_-@%\0"


def iban_windows(text: str) -> Iterator[Window]:
    for match in _IBAN.finditer(text):
        yield match.start() - 2, match.end()


def ssn_windows(text: str) -> Iterator[Window]:
    for match in _SSN_DASHED.finditer(text):
        if text[match.start()] != "9" or _told_ssn(text, match.start()):
            yield match.span()
    for match in _SSN_LOOSE.finditer(text):
        if _told_ssn(text, match.start()):
            yield match.span()


def _told_ssn(text: str, start: int) -> bool:
    return _SSN_WORD.search(text, max(0, start - 40), start) is not None


def ip_windows(text: str) -> Iterator[Window]:
    """No loopback, unspecified or netmask addresses, which say nothing of anybody; no versions of four parts."""
    for match in _IPV4.finditer(text) if text.count(".") >= 3 else ():
        start, end = match.span()
        before = text[max(0, start - 16) : start]
        is_host = text[end : end + 1] == ":" or before.endswith("//")
        if _NOT_A_PERSON.match(match.group()) or (_VERSION_BEFORE.search(before) and not is_host):
            continue
        if _SUFFIX.match(text, end):
            continue
        yield start, end
    for match in _IPV6.finditer(text) if _TWO_COLONS.search(text) else ():
        address = match.group().rstrip(":") if not match.group().endswith("::") else match.group()
        groups = [group for group in address.split(":") if group]
        full_start = bool(groups) and len(groups[0]) == 4 and not address.startswith(":")
        if any(map(str.isdigit, address)) and (len(groups) >= 4 or (full_start and len(groups) >= 2)):
            yield match.start(), match.start() + len(address)
