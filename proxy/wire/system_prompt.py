"""The system prompt of a request, text by text, in each format that has a place for one: read it, or send another.

A replacement changes the JSON strings that hold the texts and nothing around them: block types, cache marks and order
stay. The system prompt is what stands before the conversation: messages of the system or the developer that lead it,
and the field that a format has for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from proxy.wire.layout import Layout, Section, decoded
from proxy.wire.spans import Edit, Member, apply_edits, elements, json_text, removal, span_at, unescaped
from proxy.wire.spelling import folded
from trajectory.errors import FormatError

_FIELDS = {
    "openai.responses": ("instructions", ()),
    "anthropic.messages": ("system", ()),
    "gemini.generate": ("systeminstruction", ("parts",)),
}
"""The field (without regard to case and underscores) and where in it the text or the list of blocks stands."""
_LED = frozenset({"openai.chat", "openai.responses"})
"""Formats whose conversation may begin with messages of the system."""
_ROLES = frozenset({"system", "developer"})

PROMPT_WIRES = frozenset(_FIELDS) | _LED

_Holder = str | int
"""Key of a field, or index of an item."""


class _Place(msgspec.Struct, frozen=True):
    """One text: `start` to `end` of its holder's raw JSON is the string; `block` is its path where it is in a list."""

    holder: _Holder
    start: int
    end: int
    text: str
    blocks: tuple[str, ...] | None = None
    index: int = 0


def read_prompt(wire: str, layout: Layout) -> tuple[str, ...]:
    """As the client sent it; none where the request has no system prompt, or its format no known place for one."""
    return tuple(place.text for place in _places(wire, layout))


def put_prompt(wire: str, layout: Layout, texts: Sequence[str]) -> bool:
    """Send `texts` in place of the request's own. One text may stand for several blocks of one list: it takes the
    place of the last, which carries the cache mark. False, and nothing changed, where `texts` do not fit.
    """
    places = list(_places(wire, layout))
    if not places or (len(texts) != len(places) and not _is_whole(texts, places)):
        return False
    gone = places[: len(places) - len(texts)]
    for holder in dict.fromkeys(place.holder for place in places):
        here = [(place, text) for place, text in zip(places[len(gone) :], texts, strict=True) if place.holder == holder]
        raw = _section(layout, holder).raw
        edits = [Edit(place.start, place.end, json_text(text).encode()) for place, text in here if text != place.text]
        if gone:
            blocks = _blocks(raw, gone[0].blocks or ())
            edits += removal(raw, blocks, {place.index for place in gone})
        if edits:
            _send(layout, holder, apply_edits(raw, edits))
    return True


def _is_whole(texts: Sequence[str], places: Sequence[_Place]) -> bool:
    return len(texts) == 1 and len({place.holder for place in places}) == 1


def _send(layout: Layout, holder: _Holder, sent: bytes) -> None:
    if isinstance(holder, str):
        layout.replace(holder, sent)
    elif layout.items[holder].section.sent != sent:
        layout.replace_item(holder, sent)


def _section(layout: Layout, holder: _Holder) -> Section:
    """As the client sent it, whatever has been put in its place."""
    section = layout.fields[holder].section if isinstance(holder, str) else layout.items[holder].section
    return section.original or section


def _places(wire: str, layout: Layout) -> Iterator[_Place]:
    if wire in _FIELDS:
        name, path = _FIELDS[wire]
        for key in layout.fields:
            if folded(key) == name:
                yield from _texts(_section(layout, key).raw, key, path)
    if wire in _LED:
        for index in range(len(layout.items)):
            raw = _section(layout, index).raw
            message = decoded(raw)
            if not isinstance(message, dict) or message.get("role") not in _ROLES:
                return
            yield from _texts(raw, index, ("content",))


def _texts(raw: bytes, holder: _Holder, path: tuple[str, ...]) -> Iterator[_Place]:
    """The string at `path`, or the text of each block of the list there."""
    whole = span_at(raw, path)
    if whole is None:
        return
    if raw[whole.start : whole.start + 1] == b'"':
        yield _place(raw, whole, holder)
    elif raw[whole.start : whole.start + 1] == b"[":
        for index in range(len(elements(raw, whole.start, whole.end))):
            block = span_at(raw, (*path, index, "text"))
            if block is not None and raw[block.start : block.start + 1] == b'"':
                yield _place(raw, block, holder, path, index)


def _place(raw: bytes, at: Member, holder: _Holder, blocks: tuple[str, ...] | None = None, index: int = 0) -> _Place:
    return _Place(holder, at.start, at.end, unescaped(raw[at.start + 1 : at.end - 1]), blocks, index)


def _blocks(raw: bytes, path: tuple[str, ...]) -> list[tuple[int, int]]:
    whole = span_at(raw, path)
    if whole is None:  # pragma: no cover - it was found there
        raise FormatError("the system prompt's blocks are gone")
    return elements(raw, whole.start, whole.end)
