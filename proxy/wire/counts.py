"""Counts of tokens, as replies give them."""

from __future__ import annotations


def count(value: object) -> int | None:
    """None for what is no count: an unknown is never 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
