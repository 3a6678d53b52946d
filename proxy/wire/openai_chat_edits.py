"""What is changed in a chat completion, whole or streamed: edits of its bytes, and deltas of our own."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from proxy.wire.format import Lookup
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, Member, apply_edits, elements, escaped, quoted, read_value, removal, span_at
from trajectory.errors import FormatError

Delta = dict[str, object]


@dataclass(slots=True)
class Change:
    """What becomes of one choice of a chunk: `before` are deltas that go ahead of it, `edits` concern its bytes."""

    before: list[Delta] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    vanishes: bool = False
    """Nothing of this choice is left in its chunk."""


def member_at(chunk: bytes, place: int, *keys: str) -> Member:
    """Of the choice at `place` of a chunk."""
    at = span_at(chunk, ["choices", place, *keys])
    if at is None:  # pragma: no cover - the decoder has just seen it
        raise FormatError("a part of a chunk could not be found again")
    return at


def string_edit(data: bytes, at: Member, was: str, out: str) -> Edit:
    """`out` in place of the string `was`; where it only adds to the end, the bytes before stay as they are."""
    if out.startswith(was):
        return Edit(at.end - 1, at.end - 1, escaped(out[len(was) :]).encode())
    return Edit(at.start, at.end, quoted(out))


def content_edit(data: bytes, message: Member, content: Member | None, said: str, out: str) -> Edit:
    """`out` as the content of a message or delta whose content was the string `said`, null or not there."""
    if content is None:
        return Edit(message.start + 1, message.start + 1, b'"content":' + quoted(out) + b",")
    if data[content.start] != 0x22:
        return Edit(content.start, content.end, quoted(out))
    return string_edit(data, content, said, out)


def with_part(parts: bytes, text: str) -> bytes:
    """A list of content parts, with one more at its end."""
    part = msgspec.json.encode({"type": "text", "text": msgspec.Raw(quoted(text))})
    close = parts.rindex(b"]")
    return parts[:close] + (b"," if read_value(parts) else b"") + part + parts[close:]


def restored_parts(parts: bytes, lookup: Lookup) -> bytes:
    """A list of content parts with its values; the bytes themselves where there are none. Reasoning may be signed."""
    if b"PII_" not in parts:
        return parts
    edits: list[Edit] = []
    for (start, end), part in zip(elements(parts), read_value(parts), strict=True):
        if not (isinstance(part, dict) and part.get("type") == "thinking"):
            edits += span_edits(parts, start, end, lookup)
    return apply_edits(parts, edits) if edits else parts


def without_member(data: bytes, inside: dict[str, Member], key: str) -> list[Edit]:
    """Edits that take a member out of the object whose members are `inside`."""
    spans = [(member.key_start, member.end) for member in inside.values()]
    return removal(data, spans, {list(inside).index(key)})
