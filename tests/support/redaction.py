"""One detector with everything on; building it imports Presidio, so tests share it."""

from __future__ import annotations

from functools import cache

from policies.redaction.detect import build_detector
from policies.redaction.finding import Detector
from policies.redaction.settings import RedactionSettings

PATIENT = "S6534835"


@cache
def full_detector() -> Detector:
    return build_detector(RedactionSettings(known_values={"PATIENT": (PATIENT, "Maria José")}))


def found(text: str, *, key: str = "") -> list[tuple[str, str]]:
    """(kind, the characters) of each finding."""
    return [(one.kind, text[one.start : one.end]) for one in full_detector().find(text, key=key)]
