"""Counts of tokens, as replies give them."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]{1,18}(\.0*)?")


def stated(*values: object) -> int | None:
    """The largest of some limits that a request may state one thing by; None where it states none.

    Servers differ in which of two keys counts, and some read a number in a string.
    """
    read = [value for given in values if given is not None and (value := _number(given)) > 0]
    return max(read) if read else None


def _number(value: object) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return 0
    return int(max(0, min(value, 10**18)))


def count(value: object) -> int | None:
    """None for what is no count: an unknown is never 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
