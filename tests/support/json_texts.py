"""JSON texts for property tests: any value in any spelling (white space, escapes, key order)."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

_SPACE = st.text(" \t\r\n", max_size=2)
# no lone surrogates: they are no text that a JSON reader must accept
characters = st.characters(exclude_categories=("Cs",))
words = st.text(characters, max_size=8)
keys = st.one_of(st.sampled_from(["a", "b", "messages", "role", "content", "é", 'q"\\', ""]), words)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), words
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
messages = st.dictionaries(st.sampled_from(["role", "content", "name", "x"]), values, min_size=1, max_size=3)


def spelled(draw: st.DrawFn, value: Any) -> str:
    """`value` as JSON in some spelling."""
    pad = lambda: draw(_SPACE)  # noqa: E731 - read as a word in the lines below
    if isinstance(value, str):
        return '"' + "".join(_character(draw, c) for c in value) + '"'
    if isinstance(value, dict):
        pairs = list(value.items())
        order = draw(st.permutations(pairs)) if len(pairs) > 1 else pairs
        inside = ",".join(f"{pad()}{spelled(draw, k)}{pad()}:{pad()}{spelled(draw, v)}{pad()}" for k, v in order)
        return "{" + (inside or pad()) + "}"
    if isinstance(value, list):
        return "[" + (",".join(f"{pad()}{spelled(draw, v)}{pad()}" for v in value) or pad()) + "]"
    return json.dumps(value)


def _character(draw: st.DrawFn, c: str) -> str:
    plain = json.dumps(c, ensure_ascii=False)[1:-1]
    if draw(st.integers(0, 4)):
        return plain
    if c == "/":
        return "\\/"
    return "".join(f"\\u{unit:04X}" for unit in _utf16(c))


def _utf16(c: str) -> list[int]:
    raw = c.encode("utf-16-be")
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


@st.composite
def spellings(draw: st.DrawFn, value: Any) -> bytes:
    return spelled(draw, value).encode()
