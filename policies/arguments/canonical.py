"""Arguments as they are compared and shown: one text for all spellings of the same ones."""

from __future__ import annotations

from typing import Any

import msgspec

from policies.arguments.reading import UnclearError

# Numbers as they were written: 1.10 is not 1.1 to every tool. `str` is for the values of a query.
_encoder = msgspec.json.Encoder(enc_hook=str, order="sorted", decimal_format="number")


def canonical(given: dict[str, Any]) -> str:
    """JSON of what `read_arguments` has read. Raises UnclearError for text that is no Unicode."""
    try:
        return _encoder.encode(given).decode()
    except (UnicodeEncodeError, OverflowError, RecursionError):
        raise UnclearError("they hold text that is no Unicode") from None
