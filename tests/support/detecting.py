"""A detector that knows e-mail addresses of example.org and says how often it was asked."""

from __future__ import annotations

import re

from policies.redaction.finding import Finding
from policies.redaction.pseudonyms import Pseudonyms
from proxy.redactor import Redactor

_EMAIL = re.compile(r"[a-z.]+@example\.org")
_NUMBER = re.compile(r"\b555\d{6}\b")


class EmailDetector:
    def __init__(self, broken: Exception | None = None) -> None:
        self.broken = broken
        self.asked: list[tuple[str, str]] = []

    def find(self, text: str, *, key: str = "") -> tuple[Finding, ...]:
        self.asked.append((text, key))
        if self.broken is not None:
            raise self.broken
        found = [Finding(m.start(), m.end(), "EMAIL") for m in _EMAIL.finditer(text)]
        return tuple(found + [Finding(m.start(), m.end(), "PHONE") for m in _NUMBER.finditer(text)])


def redactor(detector: EmailDetector | None = None) -> Redactor:
    return Redactor(detector or EmailDetector(), Pseudonyms(b"k" * 32))
