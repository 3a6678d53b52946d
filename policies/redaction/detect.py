"""One detector out of all: declared values, secrets, telling keys, and Presidio's recognisers."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

from policies.redaction.finding import Detector, Finding
from policies.redaction.folding import fold
from policies.redaction.keys import find_pairs, is_value_of, kind_of_key
from policies.redaction.known import KnownValues
from policies.redaction.presidio import PRESIDIO_KINDS, PresidioRecognisers
from policies.redaction.secrets import find_secrets
from policies.redaction.settings import RedactionSettings, checked_values
from policies.redaction.tokens import TOKEN
from trajectory.errors import ClientError, OperatorError

_SHORT = 15
_TELLING = re.compile(r"[0-9@:=]")
"""No detector fires in less than 15 characters without one of these: most strings of JSON are done at once."""
_WRITTEN_SPACE = re.compile(r"\\+[nrtbf]")
_LEFT_OVER = re.compile(r"[^\0\s][^\0]{2,}[^\0\s]")
_PRIORITY = ("SECRET", "SSN", "CARD", "IBAN", "EMAIL", "IP", "PHONE")
"""Of two findings of the same length. Declared values come before all of these."""


def build_detector(settings: RedactionSettings) -> Detector:
    """Reads the file of known values, if one is named, and imports Presidio, if a kind needs it (0.3 s)."""
    known = KnownValues()
    declared = [settings.known_values]
    if settings.known_values_file is not None:
        declared.append(read_known_values(settings.known_values_file))
    for mapping in declared:
        for kind, values in mapping.items():
            for value in values:
                known.add(kind, value)
    kinds = [kind for kind in settings.types if kind in PRESIDIO_KINDS]
    recognisers = PresidioRecognisers(kinds) if kinds else None
    return _AllDetectors(frozenset(settings.types), known, recognisers, settings.max_text_bytes)


def read_known_values(path: Path) -> dict[str, tuple[str, ...]]:
    """JSON of the shape of the setting, or plain text with one value a line. Raises OperatorError, quoting no value."""
    try:
        text = path.read_text(encoding="utf-8")
        declared = json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
        return checked_values(declared)
    except OSError as error:
        raise OperatorError(f"cannot read known_values_file {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise OperatorError(f"known_values_file {path} is not JSON: {error.msg} (line {error.lineno})") from None
    except UnicodeDecodeError:
        raise OperatorError(f"known_values_file {path} is not UTF-8 text") from None
    except ValueError as error:
        raise OperatorError(f"known_values_file {path}: {error}") from None


class _AllDetectors:
    def __init__(
        self, kinds: frozenset[str], known: KnownValues, recognisers: PresidioRecognisers | None, max_text_bytes: int
    ) -> None:
        self._kinds = kinds
        self._known = known
        self._recognisers = recognisers
        self._max_text_bytes = max_text_bytes

    def find(self, text: str, *, key: str = "") -> tuple[Finding, ...]:
        if len(text) < 4:
            return ()
        self._check_size(text)
        # tokens become as many NULs: no detector matches them, and nothing is found across one
        blanked = TOKEN.sub(lambda match: "\0" * len(match.group()), text) if "PII_" in text else text
        found = list(self._in_plain(blanked))
        folded = fold(blanked)
        if folded is not None:
            for finding in self._in_plain(folded.text):
                start, end = folded.span(finding.start, finding.end)
                found.append(Finding(start, end, finding.kind))
        if key:
            found += self._by_key(blanked, key)
        return self._resolved(found)

    def _check_size(self, text: str) -> None:
        size = len(text)
        if size <= self._max_text_bytes and not text.isascii():
            size = len(text.encode("utf-8", "surrogatepass"))
        if size > self._max_text_bytes:
            raise ClientError(
                f"a text of {size} bytes is longer than redaction may scan ({self._max_text_bytes})",
                hint="send less at once, or raise policies.redaction.max_text_bytes",
            )

    def _in_plain(self, text: str) -> Iterable[Finding]:
        for start, end, kind in self._known.find(text):
            yield Finding(start, end, kind)
        if "\\" in text:  # in JSON inside a string, the n of \n is no part of the word behind it
            text = _WRITTEN_SPACE.sub(lambda match: " " * len(match.group()), text)
        if len(text) < _SHORT and _TELLING.search(text) is None:
            return
        if "SECRET" in self._kinds:
            for start, end in find_secrets(text):
                yield Finding(start, end, "SECRET")
        for start, end, kind in find_pairs(text):
            if kind in self._kinds:
                yield from _outside_tokens(text, start, end, kind)
        if self._recognisers is not None:
            yield from self._recognisers.find(text)

    def _by_key(self, text: str, key: str) -> list[Finding]:
        kind = kind_of_key(key)
        if kind is None or kind not in self._kinds or not is_value_of(kind, text):
            return []
        start = len(text) - len(text.lstrip())
        return list(_outside_tokens(text, start, len(text.rstrip()), kind))

    def _resolved(self, found: list[Finding]) -> tuple[Finding, ...]:
        """Secrets first, since they must never be restored; then the longer one; then declared before detected."""
        if len(found) < 2:
            return tuple(found)
        found.sort(key=lambda finding: (finding.kind != "SECRET", finding.start - finding.end, _rank(finding.kind)))
        kept: list[Finding] = []
        for finding in found:
            place = bisect_left(kept, finding.start, key=lambda other: other.start)
            after_previous = place == 0 or kept[place - 1].end <= finding.start
            if after_previous and (place == len(kept) or finding.end <= kept[place].start):
                kept.insert(place, finding)
        return tuple(kept)


def _outside_tokens(text: str, start: int, end: int, kind: str) -> Iterator[Finding]:
    """The value as a whole; of a secret that is partly masked already, what is left of it."""
    if "\0" not in text[start:end]:
        yield Finding(start, end, kind)
    elif kind == "SECRET":
        for rest in _LEFT_OVER.finditer(text, start, end):
            yield Finding(*rest.span(), kind)


def _rank(kind: str) -> int:
    return _PRIORITY.index(kind) if kind in _PRIORITY else -1
