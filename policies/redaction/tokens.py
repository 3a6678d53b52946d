"""The written form of pseudonyms: `PII_<KIND>_<10 letters>`, KIND of 2 to 16 capital letters."""

from __future__ import annotations

import re

LETTERS = "BCDFGHJKMNPQRSTVWXZ"
"""No vowels, so that a token spells no word, and no L or Y, which are easily misread."""
LETTER_COUNT = 10

KIND = re.compile(r"[A-Z]{2,16}")
TOKEN = re.compile(rf"PII_[A-Z]{{2,16}}_[{LETTERS}]{{{LETTER_COUNT}}}")
UNDECIDED = re.compile(rf"P(?:I(?:I(?:_(?:[A-Z]{{0,16}}|[A-Z]{{2,16}}_[{LETTERS}]{{0,{LETTER_COUNT - 1}}}))?)?)?\Z")
"""The end of a text that more text may turn into a token."""
LONGEST_UNDECIDED = len("PII_") + 16 + len("_") + LETTER_COUNT - 1
