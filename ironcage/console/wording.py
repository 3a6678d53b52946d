"""Numbers and codes as people read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

MB = 1024 * 1024
_INDENT = "  "
_MOST_INDENTED = 24
_SHORT = 100
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def when(unix_s: float) -> str:
    """UTC; empty where no clock can have said so."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size(value: int) -> str:
    """1 MB = 1024 * 1024 bytes."""
    if value < 1024:
        return f"{value} B"
    return f"{value / 1024:.1f} KB" if value < MB else f"{value / MB:.1f} MB"


def count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def title_of(code: str) -> str:
    """`tool_not_allowed` as "Tool not allowed"."""
    return code.replace("_", " ").capitalize()


def pretty(text: str) -> str:
    """Longer JSON objects and lists on several lines, each token as it was written; anything else as it is."""
    if len(text) <= _SHORT and "\n" not in text:
        return text
    return "".join(laid_out(text)) if is_nested_json(text) else text


def is_nested_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def laid_out(text: str) -> Iterator[str]:
    """JSON on several lines, token by token: those that begin with a quotation mark are strings as they were written.

    Not parsed and written anew: 1.10, a double key and an escaped letter stay what they were.
    """
    depth = 0
    tokens = _TOKEN.findall(text)
    for index, part in enumerate(tokens):
        before, after = tokens[index - 1] if index else "", tokens[index + 1] if index + 1 < len(tokens) else ""
        if part in ("[", "{"):
            depth += 1
            yield part if after in ("]", "}") else f"{part}\n{_indent(depth)}"
        elif part in ("]", "}"):
            depth -= 1
            yield part if before in ("[", "{") else f"\n{_indent(depth)}{part}"
        elif part == ",":
            yield f",\n{_indent(depth)}"
        else:
            yield ": " if part == ":" else part


def _indent(depth: int) -> str:
    """Bounded: a kilobyte of brackets would else be a megabyte of blanks."""
    return _INDENT * min(depth, _MOST_INDENTED)
