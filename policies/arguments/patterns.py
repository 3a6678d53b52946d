"""Regular expressions that cannot hang: matched in linear time by the engine that pydantic brings (Rust's regex).

Linear is still length times pattern, so both are bounded; a text beyond the bound is refused, never cut.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_TEXT = 16 * 1024
"""Characters of a text that is matched."""
_MAX_PATTERN = 1000

Matches = Callable[[str], bool]


def check_pattern(text: str) -> str:
    """`text` if it is a pattern; ValueError with what is wrong otherwise."""
    found(text)
    whole(text)
    return text


def found(pattern: str) -> Matches:
    """Whether the pattern matches anywhere in a text."""
    return _compiled(pattern)


def whole(pattern: str) -> Matches:
    """Whether the pattern matches a text from its first character to its last."""
    _compiled(pattern)  # by itself: `a)|(b` would not be one pattern in brackets
    return _compiled(rf"\A(?:{pattern})\z")


def _compiled(pattern: str) -> Matches:
    if not 0 < len(pattern) <= _MAX_PATTERN + 8:
        raise ValueError(f"a pattern has 1 to {_MAX_PATTERN} characters")
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True))
    except SchemaError as error:
        # the last line says why; the lines before show where, one character under the other
        raise ValueError(str(error).strip().splitlines()[-1].strip()) from None
    return validator.isinstance_python
