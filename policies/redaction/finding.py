"""What a detector reports, and the contract of all detectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Finding:
    """Characters `start` to `end` (exclusive) of a text hold a value of `kind` (EMAIL, CARD, PHONE, …)."""

    start: int
    end: int
    kind: str


class Detector(Protocol):
    def find(self, text: str, *, key: str = "") -> tuple[Finding, ...]:
        """Findings in order, never overlapping. `key` is the JSON key that the text stood under, if any.

        The same text and key always give the same findings. Raises when it cannot finish: the caller
        refuses then (never a partial answer).
        """
