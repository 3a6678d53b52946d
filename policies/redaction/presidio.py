"""The only place that knows Presidio: its recognisers, called on short windows instead of whole texts.

Presidio's own engine is not used: it wants a language model, scans the whole text with every recogniser, is
quadratic in long texts, skips a pattern that takes too long, and logs the values that it finds. The import takes
a third of a second, so it happens when a detector is built and not before.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from policies.redaction.candidates import Window, card_windows, email_windows, iban_windows, ip_windows, ssn_windows
from policies.redaction.finding import Finding
from policies.redaction.phone_candidates import PhoneWindow, is_plausible, phone_windows
from policies.redaction.without_models import without_language_models
from trajectory.errors import ClientError

PRESIDIO_KINDS = ("EMAIL", "CARD", "IBAN", "SSN", "IP", "PHONE")

_HOME_REGION = "US"
_REGIONS = (_HOME_REGION, "GB", "DE", "FR", "IL", "IN", "BR")
MAX_MISSES = 40_000
"""So many look-ups without a hit in one text are an attack or a mistake; they take some seconds. One phone region
is one look-up."""
_HOST_LABELS_TRIED = 4
_FEWEST_DIGITS = {"EMAIL": 0, "CARD": 12, "IBAN": 2, "SSN": 9, "IP": 1, "PHONE": 7}
"""What the shortest value of each kind has: most prose is done with when its digits are counted."""


class PresidioRecognisers:
    """Finds `kinds` (any of PRESIDIO_KINDS); findings may overlap. Building it imports Presidio."""

    def __init__(self, kinds: Iterable[str], *, max_misses: int = MAX_MISSES) -> None:
        recognisers = _imported_recognisers()
        self._finders: list[tuple[int, Callable[[str], Iterable[Finding]]]] = []
        gates = {
            "EMAIL": email_windows,
            "CARD": card_windows,
            "IBAN": iban_windows,
            "SSN": ssn_windows,
            "IP": ip_windows,
        }
        for kind in kinds:
            if kind == "PHONE":
                find = _PhoneFinder(recognisers["PHONE"], max_misses).find
            else:
                find = _WindowFinder(kind, recognisers[kind](), gates[kind], max_misses).find
            self._finders.append((_FEWEST_DIGITS[kind], find))

    def find(self, text: str) -> list[Finding]:
        digits = sum(map(text.count, "0123456789")) if text.isascii() else len(text)
        return [finding for fewest, find in self._finders if fewest <= digits for finding in find(text)]


class _WindowFinder:
    def __init__(self, kind: str, recogniser: Any, windows: Callable[[str], Iterator[Window]], max_misses: int) -> None:
        self._max_misses = max_misses
        self._kind = kind
        self._recogniser = recogniser
        self._windows = windows
        self._spellings = {"EMAIL": _shorter_hosts, "IBAN": _iban_spellings}.get(kind, _as_it_is)

    def find(self, text: str) -> Iterator[Finding]:
        misses = 0
        for start, end in self._windows(text):
            found = self._in_window(text[start:end])
            misses += not found
            _check(misses, self._max_misses)
            yield from (Finding(start + first, start + last, self._kind) for first, last in found)

    def _in_window(self, value: str) -> list[Window]:
        for spelling in self._spellings(value):
            results = self._recogniser.analyze(spelling, self._recogniser.supported_entities, None)
            if results and self._kind == "IP":
                # Presidio's pattern stops at the :: inside an address; the window is the whole address
                return [(0, len(value))]
            if results:
                return [(result.start, result.end) for result in results]
        return []


def _check(misses: int, most: int) -> None:
    if misses > most:
        raise ClientError("a text holds too many near-misses of personal data to be searched for it")


def _as_it_is(value: str) -> Iterator[str]:
    yield value


def _shorter_hosts(address: str) -> Iterator[str]:
    """`bob@example.org.Thanks` is no address, but `bob@example.org` in it is."""
    for _ in range(_HOST_LABELS_TRIED):
        yield address
        shorter = address.rpartition(".")[0]
        if "." not in shorter.partition("@")[2]:
            return
        address = shorter


def _iban_spellings(value: str) -> Iterator[str]:
    yield value
    if " " not in value and value.isascii():
        yield value.upper()


class _PhoneFinder:
    """One region at a time, the likeliest first, until one knows the number."""

    def __init__(self, recogniser_class: Any, max_misses: int) -> None:
        self._max_misses = max_misses
        self._by_region = {region: recogniser_class(supported_regions=(region,)) for region in _REGIONS}

    def find(self, text: str) -> Iterator[Finding]:
        parsed: dict[tuple[str, bool], list[Window]] = {}
        misses = 0
        for window in phone_windows(text):
            key = (text[window.start : window.end], window.everywhere)
            if key not in parsed:
                parsed[key] = self._numbers(*key)
                misses += 0 if parsed[key] else len(_REGIONS) if window.everywhere else 1
                _check(misses, self._max_misses)
            yield from self._plausible(text, window, parsed[key])

    def _numbers(self, text: str, everywhere: bool) -> list[Window]:
        for region in _REGIONS if everywhere else (_HOME_REGION,):
            found = self._by_region[region].analyze(text, ["PHONE_NUMBER"], None)
            if found:
                return [(result.start, result.end) for result in found]
        return []

    @staticmethod
    def _plausible(text: str, window: PhoneWindow, numbers: list[Window]) -> Iterator[Finding]:
        for start, end in numbers:
            if is_plausible(text, window.start + start, window.start + end, told=window.told):
                yield Finding(window.start + start, window.start + end, "PHONE")


class _NoValuesInLogs(logging.Filter):
    """Drops every record, since Presidio logs what it finds; a skipped pattern becomes an error instead of a gap."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "timed out" in str(record.msg):
            raise ClientError("a text took too long to be searched for personal data")
        return False


def _imported_recognisers() -> dict[str, Any]:
    # else tldextract asks the network for the public suffix list; read when it is imported
    os.environ["TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS"] = ""
    with warnings.catch_warnings(), without_language_models():
        warnings.simplefilter("ignore")  # deprecations inside Presidio and its dependencies
        import tldextract  # noqa: PLC0415
        from presidio_analyzer import predefined_recognizers as presidio  # noqa: PLC0415
    for name in ("presidio-analyzer", "decision_process"):
        logger = logging.getLogger(name)
        if not any(isinstance(dropped, _NoValuesInLogs) for dropped in logger.filters):
            logger.addFilter(_NoValuesInLogs())
    # the suffix list inside the package; no cache, so nothing is written to the user's home
    suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(presidio.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text).suffix and suffixes(pattern_text).domain)

    return {
        "EMAIL": OfflineEmailRecognizer,
        "CARD": presidio.CreditCardRecognizer,
        "IBAN": presidio.IbanRecognizer,
        "SSN": presidio.UsSsnRecognizer,
        "IP": presidio.IpRecognizer,
        "PHONE": presidio.PhoneRecognizer,
    }
