"""Texts that only look different: what a careless reader takes for one and the same key or name."""

from __future__ import annotations

import re
import unicodedata

_VARIATIONS = re.compile("[\ufe00-\ufe0f\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]")  # invisible, yet printable


def folded(text: str) -> str:
    """`text` without case, Unicode form, invisible characters and the white space around it."""
    if text.isascii() and text.isprintable():
        return text.casefold().strip()
    if not text.isascii():
        text = _VARIATIONS.sub("", unicodedata.normalize("NFKC", text.strip()))
        # what NFKC makes of a folded text may fold again: both at once, as Unicode's NFKC_Casefold has it
        text = unicodedata.normalize("NFKC", text.casefold())
    return "".join(c for c in text.casefold().strip() if c.isprintable())
