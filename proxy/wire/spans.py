"""Finding and replacing spans of JSON text without re-encoding the rest.

Positions come from the decoder's own raw slices plus a walk over what lies between them, never from a search
for equal bytes: a search could be led astray by a body that holds the same bytes twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from policies.redaction.restore import json_escape
from proxy.wire.strings import collected
from trajectory.errors import FormatError

_MEMBER = re.compile(rb'[ \t\r\n]*(,?)[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*')
_ELEMENT = re.compile(rb"[ \t\r\n]*(,?)[ \t\r\n]*")
_OBJECT_END = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_ARRAY_END = re.compile(rb"[ \t\r\n]*\][ \t\r\n]*")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_SPACE = re.compile(rb"[ \t\r\n]*")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_string = msgspec.json.Decoder(str)


class Member(msgspec.Struct, frozen=True):
    """A member of an object: `key_start` is where its key's quote stands, `start` to `end` is its value."""

    key_start: int
    start: int
    end: int


class Edit(msgspec.Struct, frozen=True):
    """Replace `start` to `end` of a text by `replacement`."""

    start: int
    end: int
    replacement: bytes


def apply_edits(data: bytes, edits: Iterable[Edit]) -> bytes:
    """`data` with non-overlapping `edits` applied; their order does not matter."""
    pieces: list[bytes] = []
    at = 0
    for edit in sorted(edits, key=lambda e: e.start):
        if edit.start < at:
            raise ValueError("edits overlap")
        pieces += (data[at : edit.start], edit.replacement)
        at = edit.end
    pieces.append(data[at:])
    return b"".join(pieces)


def members(data: bytes, start: int = 0, end: int | None = None) -> dict[str, Member]:
    """The members of the object at `start` to `end` of `data`, in order.

    Raises FormatError if the text is not exactly one JSON object, or if a key stands there twice: parsers
    disagree about which one counts, and what is judged must be what the upstream parses.
    """
    text = data if start == 0 and end is None else data[start:end]
    try:
        raw = _fields.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"not a JSON object: {e}") from None
    found: dict[str, Member] = {}
    at = _opening(text, b"{")
    for value in raw.values():
        # dict order is that of first appearance; of a repeated key the decoder gives the last value, which is not
        # the one that stands here, or leaves a member over at the end
        match = _MEMBER.match(text, at)
        if match is None or bool(match[1]) != bool(found):
            raise FormatError("a key stands twice in one JSON object")
        at = match.end() + len(value)
        if text[match.end() : at] != bytes(value):
            raise FormatError("a key stands twice in one JSON object")
        found[_string.decode(match[2])] = Member(start + match.start(2), start + match.end(), start + at)
    if len(found) != len(raw) or found.keys() != raw.keys() or _OBJECT_END.fullmatch(text, at) is None:
        raise FormatError("a key stands twice in one JSON object")
    return found


def elements(data: bytes, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Start and end of each element of the array at `start` to `end` of `data`. Raises FormatError if it is none."""
    text = data if start == 0 and end is None else data[start:end]
    try:
        raw = _elements.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"not a JSON array: {e}") from None
    found: list[tuple[int, int]] = []
    at = _opening(text, b"[")
    for value in raw:
        match = _ELEMENT.match(text, at)
        if match is None:  # pragma: no cover - the pattern matches the empty string
            raise FormatError("not a JSON array")
        at = match.end() + len(value)
        found.append((start + match.end(), start + at))
    if _ARRAY_END.fullmatch(text, at) is None:
        raise FormatError("not a JSON array")
    return found


def _opening(text: bytes, bracket: bytes) -> int:
    match = _SPACE.match(text)
    at = match.end() if match else 0
    if text[at : at + 1] != bracket:
        raise FormatError("not the JSON value that was expected")
    return at + 1


def span_at(data: bytes, path: Iterable[str | int], start: int = 0, end: int | None = None) -> Member | None:
    """The member or element that `path` (keys and indices) leads to; None if there is no such place."""
    until = len(data) if end is None else end
    space = _SPACE.match(data, start, until)  # some servers send line ends while the model thinks
    start = space.end() if space else start
    here = Member(start, start, until)
    for step in path:
        if isinstance(step, str):
            if data[here.start : here.start + 1] != b"{":
                return None
            member = members(data, here.start, here.end).get(step)
            if member is None:
                return None
            here = member
        else:
            if data[here.start : here.start + 1] != b"[":
                return None
            inside = elements(data, here.start, here.end)
            if step >= len(inside):
                return None
            here = Member(inside[step][0], *inside[step])
    return here


def removal(data: bytes, spans: list[tuple[int, int]], drop: set[int]) -> list[Edit]:
    """Edits that take the elements with index in `drop` out of an array, each with one comma.

    `spans` are all elements' positions. What remains keeps its bytes.
    """
    edits: list[Edit] = []
    kept_before = False
    for index, (start, end) in enumerate(spans):
        if index not in drop:
            kept_before = True
            continue
        if kept_before:  # with the comma before it
            edits.append(Edit(spans[index - 1][1], end, b""))
        else:  # with the comma after it, if there is one
            until = spans[index + 1][0] if index + 1 < len(spans) else end
            edits.append(Edit(start, until, b""))
    return edits


class Leaf(msgspec.Struct, frozen=True):
    """A string value: `start` to `end` between its quotes, still escaped. `key` is the nearest key above it."""

    key: str
    start: int
    end: int


def string_leaves(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Leaf]:
    """Every string value (not key) of the valid JSON text at `start` to `end`, in order; the order of `read_json`.

    Raises FormatError where an object has a key twice: see `members`.
    """
    key = ""
    above: list[str] = []  # the key that each open container stands under
    keys: list[set[str] | None] = []  # for each open container: its keys so far; None for an array
    expect_key = False
    for match in _TOKEN.finditer(data, start, len(data) if end is None else end):
        token = match[0]
        first = token[0]
        if first == 0x22:  # "
            seen = keys[-1] if keys else None
            if expect_key and seen is not None:
                expect_key = False
                key = _string.decode(token)
                if key in seen:
                    raise _twice(key)
                seen.add(key)
            else:
                yield Leaf(key, match.start() + 1, match.end() - 1)
        elif first in (0x7B, 0x5B):  # { [
            expect_key = first == 0x7B
            keys.append(set() if expect_key else None)
            above.append(key)
        elif first in (0x7D, 0x5D):  # } ]
            keys.pop()
            key = above.pop()
            expect_key = False
        elif first == 0x2C:  # ,
            expect_key = keys[-1] is not None


def keys_and_numbers(data: bytes) -> Iterator[Leaf]:
    """Every key (a leaf without its quotes, its own `key`) and every number (a leaf with an empty `key`) of a valid
    JSON text, in order.
    """
    string: tuple[int, int] | None = None
    for match in _TOKEN.finditer(data):
        first = match[0][0]
        if first == 0x3A and string is not None:  # :
            yield Leaf(_string.decode(b'"' + data[string[0] : string[1]] + b'"') or " ", *string)
        elif first == 0x2D or 0x30 <= first <= 0x39:
            yield Leaf("", match.start(), match.end())
        string = (match.start() + 1, match.end() - 1) if first == 0x22 else None


Texts = tuple[tuple[str, str], ...]
"""(key, text) of string values, in the order of the document; `key` as in Leaf, of the kinds in proxy.wire.strings."""


def read_json(raw: bytes) -> tuple[Any, Texts]:
    """The value of a JSON text, and its string values. Raises FormatError: not JSON, or a key twice in one object."""
    value = read_value(raw)
    return value, collected(value)


def read_value(raw: bytes) -> Any:
    """The value that `read_json` gives, and its errors; made for the many small texts of a stream."""
    try:
        # a key that the fast reader has dropped because it stands twice leaves quotes that are not accounted for
        if (quotes := _quotes(raw)) >= 0 and quotes == 2 * _string_count(value := msgspec.json.decode(raw)):
            return value
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # the slower reader says what is wrong, and takes what only this one does not
    try:
        return _decoder.decode(raw.decode())
    except (ValueError, RecursionError) as e:
        raise FormatError(f"not valid JSON: {e}") from None


def _quotes(raw: bytes) -> int:
    """How many quotes stand around the strings of a JSON text; -1 where counting them costs more than it saves."""
    if b"\\" not in raw:
        return raw.count(b'"')
    if len(raw) > _WORTH_COUNTING_BYTES or b"\\\\" in raw:
        return -1
    return raw.count(b'"') - raw.count(b'\\"')  # no backslash is escaped: a quote behind one belongs to a text


def _string_count(value: Any) -> int:
    """Keys and string values in `value`."""
    kind = type(value)
    if kind is dict:
        count = len(value)
        value = value.values()
    elif kind is list:
        count = 0
    else:
        return kind is str
    for inner in value:
        kind = type(inner)
        if kind is str:
            count += 1
        elif kind is dict or kind is list:
            count += _string_count(inner)
    return count


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(items)
    if len(made) != len(items):
        names = [name for name, _ in items]
        raise _twice(next(name for i, name in enumerate(names) if name in names[:i]))
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_WORTH_COUNTING_BYTES = 4096
_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)


def _twice(key: str) -> FormatError:
    return FormatError(f"the key {key[:40]!r} stands twice in one JSON object")


_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)


def unescaped(raw: bytes) -> str:
    """The text of a JSON string, given what stands between its quotes."""
    return _string.decode(b'"' + raw + b'"')


def raw_offsets(raw: bytes, text: str) -> list[int]:
    """For each character of `text`, and its end, the offset in `raw` (what stands between the quotes)."""
    offsets: list[int] = []
    at = 0
    for match in _ESCAPE.finditer(raw):
        _plain(raw, at, match.start(), offsets)
        low_surrogate = match[0][1:2] == b"u" and 0xDC00 <= int(match[0][2:], 16) <= 0xDFFF
        # the second half of a surrogate pair belongs to the character that the first half began
        if not (low_surrogate and _follows_high(raw, match.start())):
            offsets.append(match.start())
        at = match.end()
    _plain(raw, at, len(raw), offsets)
    offsets.append(len(raw))
    if len(offsets) != len(text) + 1:
        raise FormatError("a JSON string could not be mapped to its bytes")
    return offsets


def _plain(raw: bytes, start: int, end: int, offsets: list[int]) -> None:
    offsets.extend(i for i in range(start, end) if raw[i] & 0xC0 != 0x80)  # one for each UTF-8 lead byte


def _follows_high(raw: bytes, at: int) -> bool:
    before = raw[at - 6 : at]
    return before[:2] == b"\\u" and 0xD800 <= int(before[2:6], 16) <= 0xDBFF if len(before) == 6 else False


def json_text(value: object) -> str:
    """`value` as JSON. Half of a surrogate pair, which only `read_json` takes, stays escaped."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))


def escaped(text: str) -> str:
    """`text` as it stands between the quotes of a JSON string."""
    return json_escape(text, levels=1)


def quoted(text: str) -> bytes:
    """`text` as a JSON string."""
    return b'"' + escaped(text).encode() + b'"'
