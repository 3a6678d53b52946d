"""Whether the detectors load and find, without the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from ironcage.doctor.report import Line, fail, ok
from ironcage.settings import Loaded
from policies.redaction.detect import build_detector
from policies.redaction.settings import RedactionSettings
from trajectory.errors import IroncageError

_SAMPLE = "Reach me at ada.lovelace@example.org, please."


def check_redaction(loaded: Loaded) -> Line:
    """Takes a third of a second: it loads what `serve` would."""
    settings = loaded.settings.policies.redaction
    if settings is not None and settings.known_values_file is not None:
        settings = settings.model_copy(update={"known_values_file": loaded.path(str(settings.known_values_file))})
    try:
        with _offline():
            detector = build_detector(settings or RedactionSettings())
            found = [finding.kind for finding in detector.find(_SAMPLE)]
    except (IroncageError, ImportError, _NetworkUsedError) as e:
        return fail("redaction", f"the detectors do not load: {e}", "install from the lock file: make setup")
    expects = settings is None or "EMAIL" in settings.types
    if expects and "EMAIL" not in found:
        return fail("redaction", "the detectors load and miss a plain e-mail address", "install from the lock file")
    return ok(
        "redaction", "the detectors load offline" + ("" if settings else "; redaction is off in the configuration")
    )


class _NetworkUsedError(Exception):
    pass


class _Watch:
    """An audit hook cannot be taken out again: one stays, and is silent unless `forbids`."""

    is_set_up: ClassVar[bool] = False
    forbids: ClassVar[bool] = False


@contextmanager
def _offline() -> Iterator[None]:
    """Any attempt to reach the network raises."""
    if not _Watch.is_set_up:
        sys.addaudithook(_refuse_network)
        _Watch.is_set_up = True
    _Watch.forbids = True
    try:
        yield
    finally:
        _Watch.forbids = False


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if _Watch.forbids and event in ("socket.connect", "socket.getaddrinfo"):
        raise _NetworkUsedError("something tried to reach the network")
