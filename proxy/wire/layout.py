"""A JSON request body laid out as sections: each element of its conversation list, and each other field.

A body is read against the previous one of its conversation. What both begin with is not parsed again: its
sections, already judged, masked and digested, are taken over. So the work of a turn grows with what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from proxy.wire.spans import Texts, elements, members, read_json
from proxy.wire.strings import ToolKey
from trajectory.errors import FormatError
from trajectory.record import Body, Span

_any = msgspec.json.Decoder()
# What clients note beside a conversation, under names of their own (OpenAI and Anthropic, Google, Bedrock).
_FREE = frozenset({"metadata", "labels", "requestMetadata"})
# Spans worth an address of their own; what lies between (scalars, punctuation) is stored with its neighbours.
_OWN_SPAN_BYTES = 256


@dataclass(slots=True, eq=False)
class Section:
    """One JSON value of a body. `sent` is what goes to the upstream in its place; `raw` until something edits it.

    `issued` lists the (kind, value) pairs that were pseudonymised in it. A section is changed only while its
    own request is judged; later requests share it.
    """

    raw: bytes
    canonical: bytes
    texts: Texts
    sent: bytes
    issued: tuple[tuple[str, str], ...] = ()
    span: Span | None = None
    lead: bytes = b""
    memo: tuple[str, Any] | None = None
    """What a wire format read out of this section, under the format's name: see `read_as`."""
    weight: Any = None
    """What proxy.prompt_size weighed of it."""
    searched: bool = False
    """Personal data in it has been looked for and masked."""
    original: Section | None = None
    """Set where something else is sent in its place: the section as the client sent it, for later bodies."""
    behind: tuple[Section, ...] = ()
    """Of an item: elements of our own that are sent behind it, in this body and in those that begin with it."""
    is_tied: bool = False
    """Of an item: what is sent in its place presumes the items behind it. A body that goes on otherwise there is
    read anew from here on.
    """

    is_free: bool = False
    """Its keys are the client's own: none of them is protocol."""

    @classmethod
    def of(cls, raw: bytes, *, is_free: bool = False) -> Section:
        """Raises FormatError for invalid UTF-8 or a key that stands twice in one object."""
        value, texts = read_json(raw)
        if is_free:
            texts = tuple((ToolKey(key), text) for key, text in texts)
        return cls(raw, _digest(value), texts, raw, is_free=is_free)

    def value(self) -> object:
        return decoded(self.raw)

    def read_as[T](self, reader: str, read: Callable[[Section], T]) -> T:
        """What `read` makes of it, made once. A session may go on in another format with the same text: what one
        reader (a format's name, and which of its readings) has kept says nothing to another.
        """
        if self.memo is None or self.memo[0] != reader:
            self.memo = (reader, read(self))
        known: T = self.memo[1]
        return known

    def as_span(self, lead: bytes = b"") -> Span:
        """The span of `lead` (the comma before it) and what is sent; kept, as the next turn brings both again."""
        if self.span is None or self.lead != lead:
            self.span = Span.of(lead + self.sent)
            self.lead = lead
        return self.span

    def rewrite(self, sent: bytes, issued: tuple[tuple[str, str], ...] = ()) -> None:
        self.sent = sent
        self.issued = issued
        self.span = None


class Placed(msgspec.Struct, frozen=True):
    """A section and where it stands in the client's body."""

    start: int
    end: int
    section: Section


def decoded(raw: bytes) -> object:
    try:
        return _any.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"not valid JSON: {e}") from None


def _digest(value: object) -> bytes:
    """16 bytes that are equal for JSON texts which differ only in key order, whitespace or escapes."""
    try:
        canonical = msgspec.json.encode(value, order="sorted")
    except (ValueError, OverflowError, RecursionError) as e:  # lone surrogates, integers beyond 64 bits
        raise FormatError(f"not JSON that any two readers agree on: {e}") from None
    return hashlib.blake2b(canonical, digest_size=16).digest()


@dataclass(slots=True, eq=False)
class Layout:
    """The top-level members of a body by key, in order, and the elements of the list under `list_key`."""

    body: bytes
    list_key: str
    fields: dict[str, Placed]
    items: list[Placed]
    kept: int
    """How many leading items were taken over from the previous body."""
    is_listed: bool = True
    """There is an array under `list_key`; otherwise (absent, or a string where a format allows one) no items."""
    dropped: set[str] = field(default_factory=set)
    added: dict[str, bytes] = field(default_factory=dict)
    first: tuple[Section, ...] = ()
    """Elements of our own that are sent before all items, in this body only."""

    def section(self, key: str) -> Section | None:
        placed = self.fields.get(key)
        return placed.section if placed else None

    def value(self, key: str) -> object:
        """The decoded value under `key`; None if it is absent."""
        placed = self.fields.get(key)
        return placed.section.value() if placed else None

    def put(self, key: str, value: object) -> None:
        """Set `key` in what is sent. A present key keeps its place; a new one goes to the end."""
        encoded = msgspec.json.encode(value)
        if key in self.fields:
            self.replace(key, encoded)
        else:
            self.added[key] = encoded

    def replace(self, key: str, sent: bytes) -> None:
        """Send `sent` as the value of a present key. Its old section may be shared, so it gets a new one."""
        placed = self.fields[key]
        if placed.section.sent != sent:
            was = placed.section.original or placed.section
            section = Section(was.raw, was.canonical, read_json(sent)[1], sent, original=was)
            self.fields[key] = Placed(placed.start, placed.end, section)

    def replace_item(self, index: int, sent: bytes) -> None:
        """Send `sent` as an element of the list, in this body and in those that begin with it."""
        placed = self.items[index]
        was = placed.section.original or placed.section
        section = Section(was.raw, was.canonical, read_json(sent)[1], sent, original=was)
        section.behind, section.is_tied = placed.section.behind, placed.section.is_tied
        self.items[index] = Placed(placed.start, placed.end, section)

    def put_behind(self, index: int, values: list[bytes]) -> None:
        """Send `values` as elements behind the item at `index`, which is new in this body."""
        section = self.items[index].section
        section.behind = (*section.behind, *map(Section.of, values))

    def put_first(self, values: list[bytes]) -> None:
        """Send `values` as the list's first elements, in this body only; there must be an item behind them."""
        self.first = tuple(map(Section.of, values))

    def tie(self, start: int, end: int) -> None:
        """What is sent in place of the items from `start` on holds only with the item at `end`; all are new."""
        for placed in self.items[start:end]:
            placed.section.is_tied = True

    def sections(self) -> Iterator[Section]:
        """All that is sent: items and other fields."""
        yield from self._listed()
        yield from (p.section for k, p in self.fields.items() if not self._is_list(k) and k not in self.dropped)

    def _listed(self) -> Iterator[Section]:
        yield from self.first
        for placed in self.items:
            yield placed.section
            if placed.section.behind:
                yield from placed.section.behind

    def _is_list(self, key: str) -> bool:
        return self.is_listed and key == self.list_key

    def unsearched(self) -> list[Section]:
        """What this body brought: new items, and fields that differ from the previous body's."""
        new = [section for section in self._listed() if not section.searched]
        for key, placed in self.fields.items():
            if not placed.section.searched and key not in self.dropped and not self._is_list(key):
                new.append(placed.section)
        return new

    def digest(self, *context: str) -> str:
        """Digest of the canonical body, and of `context` (path, upstream): equal for retries of one operation."""
        parts = ["\n".join(context).encode("utf-8", "surrogatepass")]
        for key in sorted(self.fields):
            parts += (b"\0", key.encode("utf-8", "surrogatepass"), b"\0")
            if self._is_list(key):
                parts += [p.section.canonical for p in self.items]
            else:
                parts.append(self.fields[key].section.canonical)
        return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()

    def assembled(self) -> Body:
        """What is sent, as spans: untouched bodies come out byte for byte."""
        pieces: list[Span] = []
        gap: list[bytes] = []
        at = 0
        strip_comma = False
        for key, placed in self.fields.items():
            between = self.body[at : placed.start]
            if key in self.dropped:
                if at == 0:
                    gap.append(between[: between.index(b"{") + 1])
                    strip_comma = True
                at = placed.end
                continue
            if strip_comma:
                between = between.lstrip(b" \t\r\n,")
                strip_comma = False
            gap.append(between)
            if self._is_list(key):
                at = self._items(placed, pieces, gap)
            else:
                _add(placed.section, pieces, gap)
                at = placed.end
        self._end(at, pieces, gap)
        return tuple(pieces)

    def _items(self, whole: Placed, pieces: list[Span], gap: list[bytes]) -> int:
        at = whole.start
        for index, item in enumerate(self.items):
            lead = self.body[at : item.start]
            if index == 0:
                pieces.append(_between(b"".join(gap) + lead))
                gap.clear()
                lead = b""
            section = item.section
            for one in self.first if index == 0 else ():
                pieces.append(one.as_span(lead))
                lead = b","
            span = section.span
            pieces.append(section.as_span(lead) if span is None or section.lead != lead else span)
            for one in section.behind:
                pieces.append(one.as_span(b","))
            at = item.end
        gap.append(self.body[at : whole.end])
        return whole.end

    def _end(self, at: int, pieces: list[Span], gap: list[bytes]) -> None:
        rest = self.body[at:]
        if self.added:
            comma = b"," if len(self.dropped) < len(self.fields) else b""
            extra = b",".join(msgspec.json.encode(k) + b":" + v for k, v in self.added.items())
            close = rest.rindex(b"}")
            rest = rest[:close] + comma + extra + rest[close:]
        gap.append(rest)
        pieces.append(_between(b"".join(gap)))


def _add(section: Section, pieces: list[Span], gap: list[bytes]) -> None:
    if len(section.sent) < _OWN_SPAN_BYTES:
        gap.append(section.sent)
        return
    pieces.append(_between(b"".join(gap)))
    gap.clear()
    pieces.append(section.as_span())


_short_span = lru_cache(maxsize=4096)(Span.of)


def _between(data: bytes) -> Span:
    """The span of what lies between sections: punctuation and scalars, most often the same in every turn."""
    return _short_span(data) if len(data) < _OWN_SPAN_BYTES else Span.of(data)


@lru_cache(maxsize=16)
def _opening(list_key: str) -> bytes:
    """The shortest text that brings a parser behind the first element of the list."""
    return b"{" + msgspec.json.encode(list_key) + b":[0"


def read_layout(body: bytes, list_key: str, previous: Layout | None = None) -> Layout:
    """Lay `body` out, taking over what it shares with `previous`.

    Raises FormatError: not one JSON object, a key twice anywhere, invalid UTF-8.
    """
    kept = _common_items(body, previous) if previous is not None else 0
    if previous is None or kept == 0:
        found = members(body)
        shift, text, head = 0, body, {}
    else:
        # The shared beginning was read when it was new: it ends inside the list, after an element.
        resume = previous.items[kept - 1].end
        opening = _opening(list_key)
        text = opening + body[resume:]
        shift = resume - len(opening)
        found = members(text)
        head = _head(previous)
        if any(key in head for key in found if key != list_key):
            raise FormatError("a key stands twice in one JSON object")
    whole = found.get(list_key)
    is_listed = whole is not None and text[whole.start] == 0x5B
    spans = elements(text, whole.start, whole.end) if whole is not None and is_listed else []
    items = list(previous.items[:kept]) if previous is not None and kept else []
    for start, end in spans[1 if kept else 0 :]:
        items.append(Placed(start + shift, end + shift, Section.of(text[start:end])))
    fields = head
    for key, member in found.items():
        if is_listed and key == list_key:
            start = previous.fields[key].start if previous is not None and kept else member.start
            fields[key] = Placed(start, member.end + shift, _LIST)
        else:
            raw = text[member.start : member.end]
            fields[key] = Placed(member.start + shift, member.end + shift, _section(raw, key, previous))
    return Layout(body, list_key, fields, items, kept, is_listed)


_LIST = Section(b"", b"", (), b"")


def _section(raw: bytes, key: str, previous: Layout | None) -> Section:
    known = previous.section(key) if previous is not None else None
    return (
        (known.original or known) if known is not None and known.raw == raw else Section.of(raw, is_free=key in _FREE)
    )


def _head(previous: Layout) -> dict[str, Placed]:
    """The fields that stand before the list, as the client sent them."""
    head: dict[str, Placed] = {}
    for key, placed in previous.fields.items():
        if key == previous.list_key:
            break
        original = placed.section.original
        head[key] = placed if original is None else Placed(placed.start, placed.end, original)
    return head


def _common_items(body: bytes, previous: Layout) -> int:
    """How many leading items of `previous` the body begins with, byte for byte and position for position."""
    ends = [item.end for item in previous.items]
    low, high = 0, len(ends)
    probe = high  # most often everything is shared, or all but the last message
    while low < high:
        end = ends[probe - 1]
        if len(body) > end and body.startswith(previous.body[:end]):
            low = probe
        else:
            high = probe - 1
        probe = high if high - low <= 2 else (low + high + 1) // 2
    # where a number ends, only what comes after it can say; and what is tied goes with what comes after it
    while low and (body[ends[low - 1] - 1] not in b'"}]' or previous.items[low - 1].section.is_tied):
        low -= 1
    return low
