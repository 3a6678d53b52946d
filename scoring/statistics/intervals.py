"""An interval, and the one that Student's t gives. scipy is only needed for t, and loads when it is first used."""

from __future__ import annotations

from typing import NamedTuple

CONFIDENCE = 0.95


class Interval(NamedTuple):
    low: float
    high: float

    def cut_at(self, most: float) -> Interval:
        """Without what lies farther from 0 than the quantity can: a difference of two shares is at most 1."""
        return Interval(max(self.low, -most), min(self.high, most))


def t_interval(mean: float, se: float, degrees: float, confidence: float = CONFIDENCE) -> Interval:
    from scipy.special import stdtrit  # noqa: PLC0415 -- scipy takes a third of a second to load

    reach = float(stdtrit(degrees, 0.5 + confidence / 2)) * se
    return Interval(mean - reach, mean + reach)
