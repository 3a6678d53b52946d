"""Time and randomness as arguments: cores never reach for either themselves."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Protocol

Entropy = Callable[[int], bytes]
"""Gives that many random bytes."""


class Clock(Protocol):
    def now_s(self) -> float:
        """Unix time in seconds; may jump when the machine's clock is set."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back. For durations and deadlines."""


class SystemClock:
    __slots__ = ()

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when it is told to, for tests and re-enactments."""

    __slots__ = ("_monotonic_s", "_now_s")

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._now_s = now_s
        self._monotonic_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Move both clocks on. ValueError if `seconds` is negative."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self._now_s += seconds
        self._monotonic_s += seconds


SYSTEM_CLOCK = SystemClock()


def system_entropy(count: int) -> bytes:
    return os.urandom(count)


def seeded_entropy(seed: int) -> Entropy:
    """The same bytes for the same seed: for tests and repeatable runs, never for keys."""
    return random.Random(seed).randbytes  # noqa: S311 - repeatable on purpose
