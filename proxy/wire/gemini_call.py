"""One function call of a Gemini reply, and its arguments where they come in pieces."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from policies.redaction.restore import Restorer, json_escape, restore
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup
from proxy.wire.gemini_types import list_of
from proxy.wire.spans import Edit, Member, elements, members, quoted
from proxy.wire.spelling import Fields, fields_of
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,6})\]|\['([^']*)'\]|\["([^"]*)"\]""")
_MAX_PIECES = 100_000
_PARTIAL = "partialargs"


class _Joined(list[str]):
    """The pieces of one string."""


class PartialArguments:
    """The object that pieces addressed by JSON path make up; strings at one path are joined.

    `disputed` where clients may make another object of them: one place is told twice, or cannot be reached.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self.disputed = False

    def add(self, path: str, value: Any) -> None:
        if len(self._values) >= _MAX_PIECES:
            raise FormatError(f"a function call has more than {_MAX_PIECES} arguments")
        known = self._values.get(path)
        if isinstance(known, _Joined) and isinstance(value, str):
            known.append(value)
            return
        self.disputed = self.disputed or path in self._values
        self._values[path] = _Joined([value]) if isinstance(value, str) else value

    def text(self) -> str:
        """As JSON. Where a path cannot be followed, its value stands under the path itself."""
        root: dict[str, Any] = {}
        for path, value in self._values.items():
            whole = "".join(value) if isinstance(value, _Joined) else value
            if not _place(root, path, whole):
                self.disputed = True
                root[path] = whole
        return msgspec.json.encode(root).decode()


@dataclass(slots=True, eq=False)
class GeminiCall:
    """`arguments` and `shown` are the upstream's text and the client's, once they have come whole."""

    id: str
    name: str
    refused: bool = False
    notice: str | None = None
    arguments: str = "{}"
    shown: str = "{}"
    pieces: PartialArguments | None = None
    shown_pieces: PartialArguments = field(default_factory=PartialArguments)
    restorers: dict[str, Restorer] = field(default_factory=dict)
    arriving: ArrivingArguments = field(default_factory=ArrivingArguments)
    """Filled once they are whole: their pieces are no text."""

    def proposed(self) -> ToolCall:
        return ToolCall(self.id, self.name, self.arguments if self.pieces is None else self.pieces.text())

    def received(self) -> ToolCall:
        return ToolCall(self.id, self.name, self.shown if self.pieces is None else self.shown_pieces.text())

    def raw_arguments(self, data: bytes, at: Member, call: Fields) -> str:
        """The text of arguments that come whole, in the `functionCall` object at `at`."""
        if call.get("args") is None:
            return self.arguments
        place = members(data, at.start, at.end)[call.key("args")]
        return data[place.start : place.end].decode()

    def close(self) -> None:
        """No piece of it will come any more. Raises FormatError if it was judged, and has changed since."""
        self.arriving.told_again(self.proposed().arguments)
        self.arriving.disputed = self.arriving.disputed or (self.pieces is not None and self.pieces.disputed)
        self.arriving.close()

    def take(self, data: bytes, at: Member, call: Fields, lookup: Lookup | None) -> list[Edit]:
        """Read the `functionCall` object at `at`; the edits that restore values in it. A refused call needs none."""
        found = members(data, at.start, at.end) if call else {}
        edits: list[Edit] = []
        if call.get("args") is not None:
            edits += self._take_whole(data, found[call.key("args")], lookup)
        if call.get(_PARTIAL) is not None:
            edits += self._take_pieces(data, found[call.key(_PARTIAL)], call, lookup)
        self.arriving.disputed = self.arriving.disputed or (self.pieces is not None and self.arguments != "{}")
        if call.get("willcontinue") is not True:
            self.close()
        if self.refused or call.get("willcontinue") is True:
            return edits
        held = self.flushed()
        return (
            edits + _with_pieces(data, at, found.get(call.keys_as_written.get(_PARTIAL, "")), held) if held else edits
        )

    def flushed(self) -> list[dict[str, str]]:
        """Pieces with what was held of string arguments."""
        held = [(path, restorer.flush()) for path, restorer in self.restorers.items()]
        pieces = [{"jsonPath": path, "stringValue": text} for path, text in held if text]
        for piece in pieces:
            self.shown_pieces.add(piece["jsonPath"], piece["stringValue"])
        return pieces

    def _take_whole(self, data: bytes, at: Member, lookup: Lookup | None) -> list[Edit]:
        raw = data[at.start : at.end].decode()
        out = raw if lookup is None or self.refused else restore(raw, lookup, partial(json_escape, levels=1))
        self.arguments, self.shown = raw, out
        return [Edit(at.start, at.end, out.encode())] if out != raw else []

    def _take_pieces(self, data: bytes, listed: Member, call: Fields, lookup: Lookup | None) -> list[Edit]:
        if self.pieces is None:
            self.pieces = PartialArguments()
        edits: list[Edit] = []
        spans = elements(data, listed.start, listed.end)
        for raw, span in zip(list_of(call[_PARTIAL], "'partialArgs'"), spans, strict=True):
            piece = fields_of(raw, "a partial argument")
            path = str(piece.get("jsonpath") or "")
            values = [v for k, v in piece.items() if k not in ("jsonpath", "willcontinue")]
            value = None if "nullvalue" in piece or not values else values[0]
            self.pieces.add(path, value)
            if lookup is None or self.refused or not isinstance(value, str) or value != piece.get("stringvalue"):
                self.shown_pieces.add(path, value)
                continue
            restorer = self.restorers.setdefault(path, Restorer(lookup))
            out = restorer.feed(value)
            if not (piece.get("willcontinue") is True and call.get("willcontinue") is True):
                out += restorer.flush()
            self.shown_pieces.add(path, out)
            if out != value:
                place = members(data, *span)[piece.key("stringvalue")]
                edits.append(Edit(place.start, place.end, quoted(out)))
        return edits


def _with_pieces(data: bytes, call: Member, listed: Member | None, held: list[dict[str, str]]) -> list[Edit]:
    """What was held comes first in the part that ends its call."""
    pieces = msgspec.json.encode(held)
    if listed is None:
        comma = b"," if data[call.start + 1 : call.end - 1].strip() else b""
        return [Edit(call.start + 1, call.start + 1, b'"partialArgs":' + pieces + comma)]
    comma = b"," if data[listed.start + 1 : listed.end - 1].strip() else b""
    return [Edit(listed.start + 1, listed.start + 1, pieces[1:-1] + comma)]


def _place(root: dict[str, Any], path: str, value: Any) -> bool:
    """False where the path leads nowhere, or to where something stands already."""
    steps = _steps(path)
    here: Any = root
    for place, step in enumerate(steps):
        is_last = place == len(steps) - 1
        below = value if is_last else ([] if isinstance(steps[place + 1], int) else {})
        if isinstance(step, str) and isinstance(here, dict):
            is_new = step not in here
            here = here.setdefault(step, below)
        elif isinstance(step, int) and isinstance(here, list) and step <= len(here):
            is_new = step == len(here)
            if is_new:
                here.append(below)
            here = here[step]
        else:
            return False
        if is_last and not is_new:
            return False
    return bool(steps)


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 1
    while path.startswith("$") and at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return []
        key, place, single, double = match.groups()
        steps.append(int(place) if place is not None else key or single or double or "")
        at = match.end()
    return steps
