"""Arguments as one object of names and values, read so that no tool can read them as another one.

Whatever two readers could take for different things is a doubt: no JSON object, a key that stands twice at any depth,
a number beyond measure, a query's field whose name some read as a place in an object.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

MAX_CHARACTERS = 1024 * 1024
"""Of all arguments of one call. More is not read, so it is refused by every rule that would have to read it."""
_MAX_FIELDS = 1024
# Not `;`: some readers end a field there, too.
_QUERY = re.compile(r"[A-Za-z0-9_.~%+\-\[\]$'()*,:@/?=&!]*")

_PLACES = frozenset("[].")  # `note[]=x`, `to[name]=x`, `to.name=x`


class UnclearError(ValueError):
    """Arguments that nobody can be sure to read as their tool does. The message quotes nothing of them."""


class FormText(str):
    """A value of a query: numbers are text there, since a query has no other values."""

    __slots__ = ()


def read_arguments(text: str, *, may_be_query: bool = False) -> dict[str, Any]:
    """The arguments of a call; none if there is no text. Raises UnclearError."""
    if len(text) > MAX_CHARACTERS:
        raise UnclearError(f"they are longer than {MAX_CHARACTERS} characters")
    if not text:
        return {}
    if may_be_query and text.lstrip(" \t\r\n")[:1] != "{":
        return _query(text)
    try:
        value = _decoder.decode(text)
    except UnclearError:
        raise
    except (ValueError, RecursionError, ArithmeticError):
        raise UnclearError("they are not valid JSON") from None
    if not isinstance(value, dict):
        raise UnclearError("they are not a JSON object")
    return value


def _query(text: str) -> dict[str, Any]:
    """`a=1&b=2`: each name once, percent-encoded UTF-8."""
    found: dict[str, Any] = {}
    fields = text.split("&", _MAX_FIELDS)
    if len(fields) > _MAX_FIELDS or not _QUERY.fullmatch(text):
        raise UnclearError("they are neither a JSON object nor a query of fields")
    for field in fields:
        name, equals, value = (_decoded(part) for part in field.partition("="))
        if not equals or name in found:
            raise UnclearError("their query has a field without a value, or one twice")
        if not _PLACES.isdisjoint(name):
            raise UnclearError("their query has a field that some read as a list or an object")
        found[name] = FormText(value)
    return found


def _decoded(part: str) -> str:
    try:
        return unquote(part.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        raise UnclearError("their query is not UTF-8") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise UnclearError("a key stands twice in them")
    return made


def _no_constant(_: str) -> Any:
    raise UnclearError("they hold a number that JSON does not have")


# Decimal: a limit of 100 must also hold for 100.00000000000000001, which a float would round to it
_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant, parse_float=Decimal)
