"""The tool calls of one choice of a streamed chat completion: judged as each client may read them.

Servers differ in how they tell a call, and clients in what they make of it. A name that comes again is the same name to
one client, and makes a longer one with the official SDK. A call under the index of another, or with none, is a call of
its own to one client, and more of the other to the next. Such a piece goes on as it came where whatever may be read
passes; else it is edited so that there is only one way to read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from policies.redaction.restore import Restorer, json_escape
from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup, TurnCall
from proxy.wire.openai_chat_edits import Change, Delta, string_edit, without_member
from proxy.wire.openai_chat_types import Call, Turn
from proxy.wire.openai_chat_views import opened, raw_call
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, Member, elements, json_text, members, read_value, removal
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError

_MAX_CALLS = 1024
_MAX_JOINED_NAME = 4096
"""Characters of a name that is told again and again, as one who joins it all has it."""
LEGACY = "function_call"

JudgeCall = Callable[[str, str, ArrivingArguments], Refuse | None]
Passes = Callable[[str], bool]


@dataclass(slots=True, eq=False)
class StreamedCall:
    key: object
    """An index; without one, an id or a place among the calls of a delta. LEGACY is that of the older function_call."""
    index: int | None
    id: str
    name: str
    is_custom: bool = False
    refused: bool = False
    notice: str | None = None
    opened: dict[str, Any] = field(default_factory=dict)
    """Of a refused call: its first delta."""
    sent_index: int = 0
    is_numbered: bool = False
    """It is sent with an index, though it came without."""
    arguments: ArrivingArguments = field(default_factory=ArrivingArguments)
    shown: list[str] = field(default_factory=list)
    restorer: Restorer | None = None

    @property
    def slot(self) -> object:
        """The index that a client takes it for; many take 0 where there is none."""
        if self.key == LEGACY:
            return LEGACY
        return 0 if self.index is None and not self.is_numbered else self.sent_index

    def restored(self, text: str, *, ends: bool) -> str:
        out = text if self.restorer is None else self.restorer.feed(text)
        return self._shown(out + self._flushed() if ends else out)

    def held(self) -> Delta | None:
        """What was held of its arguments, as a delta of its own."""
        rest = self._shown(self._flushed())
        if not rest:
            return None
        if self.key == LEGACY:
            return {"function_call": {"arguments": rest}}
        inner = {"custom": {"input": rest}} if self.is_custom else {"function": {"arguments": rest}}
        return {"tool_calls": [{"index": self.sent_index, **inner}]}

    def _flushed(self) -> str:
        return "" if self.restorer is None else self.restorer.flush()

    def _shown(self, text: str) -> str:
        self.shown.append(text)
        return text


@dataclass(slots=True)
class _Piece:
    """What one delta says of a call, at `at`. `renames`: some client would read another name with it.
    `strays`: one that goes by ids would take it for a piece of another call.
    """

    call: Call
    known: StreamedCall
    at: tuple[int, int]
    renames: bool = False
    strays: bool = False


@dataclass(slots=True)
class Taken:
    """What becomes of the calls in a delta; `left` is how many pieces of them the client gets."""

    change: Change = field(default_factory=Change)
    notices: list[str] = field(default_factory=list)
    left: int = 0


class StreamedCalls:
    """`passes` says of a name whether any call of that tool passes; `lookup` restores pseudonyms, if there are any."""

    def __init__(self, judge: JudgeCall, passes: Passes, lookup: Lookup | None) -> None:
        self._judge = judge
        self._passes = passes
        self._lookup = lookup
        self._all: list[StreamedCall] = []
        self._latest: dict[object, StreamedCall] = {}  # by key
        self._joined: dict[object, str] = {}  # by slot: the name that a client has who joins all that it is told
        self._with_id: dict[str, list[StreamedCall]] = {}  # those that were sent
        self._has_indices = False
        self._sent = 0

    @property
    def are_all_refused(self) -> bool:
        return bool(self._all) and not self._sent

    def told(self) -> list[ToolCall]:
        return [ToolCall(c.id, c.name, c.arguments.text) for c in self._all]

    def shown(self) -> list[ToolCall]:
        return [ToolCall(c.id, c.name, "".join(c.shown)) for c in self._all if not c.refused]

    def turn(self) -> list[TurnCall]:
        return [
            TurnCall(c.id, c.name, c.notice, raw_call(c.opened, c.arguments.text) if c.opened else b"")
            for c in self._all
        ]

    def take(self, chunk: bytes, found: dict[str, Member], delta: Turn, *, is_last: bool) -> Taken:
        """Judge the calls in a delta whose members are `found`. Raises FormatError."""
        taken = Taken()
        listed, legacy = found.get("tool_calls"), found.get(LEGACY)
        spans = elements(chunk, listed.start, listed.end) if listed is not None and delta.tool_calls else []
        pieces = [
            self._piece(self._key(call, place), call, spans[place], taken.notices)
            for place, call in enumerate(delta.tool_calls or ())
        ]
        drop = {place for place, piece in enumerate(pieces) if piece.known.refused}
        for place in drop:
            pieces[place].known.opened = pieces[place].known.opened or opened(chunk[slice(*spans[place])])
        if listed is not None and drop:
            whole = len(drop) == len(spans)
            taken.change.edits += [_null(listed)] if whole else removal(chunk, spans, drop)
        if legacy is not None and delta.function_call is not None:
            call = Call(function=delta.function_call)
            pieces.append(self._piece(LEGACY, call, (legacy.start, legacy.end), taken.notices))
            if pieces[-1].known.refused:
                taken.change.edits.append(_null(legacy))
        self._send(chunk, pieces, taken, is_last=is_last)
        return taken

    def flush(self) -> list[Delta]:
        """What is held: nothing more will come that could decide it."""
        return [delta for call in self._all if (delta := call.held()) is not None]

    def close(self) -> None:
        for call in self._all:
            call.arguments.close()

    def _send(self, chunk: bytes, pieces: list[_Piece], taken: Taken, *, is_last: bool) -> None:
        here = [piece.known for piece in pieces]
        taken.change.before += [d for call in self._all if call not in here and (d := call.held()) is not None]
        for place, piece in enumerate(pieces):
            if not piece.known.refused:
                ends = is_last or any(other is not piece.known for other in here[place:])
                taken.change.edits += self._edits(chunk, piece, ends=ends)
                taken.left += 1

    # --- which call a piece belongs to, and how clients may read it ---

    def _key(self, call: Call, position: int) -> object:
        """What a call goes by: its index; with servers that give none, its id, or its place among those of a delta."""
        index = call.index
        if index is None:
            if isinstance(call.id, str) and call.id:
                return call.id
            if self._has_indices and len(self._all) > 1:
                raise FormatError("a piece of a tool call does not say which call it belongs to")
            return position
        if type(index) is not int or index < 0:
            raise FormatError("the index of a tool call is no number of a place")
        self._has_indices = True
        return index

    def _piece(self, key: object, call: Call, at: tuple[int, int], notices: list[str]) -> _Piece:
        name = call.inner.name if isinstance(call.inner.name, str) else ""
        known = self._latest.get(key)
        if known is None or self._is_another(known, call, name):
            known = self._begin(key, call, name)
            if known.notice is not None:
                notices.append(known.notice)
            piece = _Piece(call, known, at)
        else:
            if known is not self._all[-1]:
                self._check_late(known)
            renames = bool(name) and self._renames(known, call, name)
            piece = _Piece(call, known, at, renames, self._strays(known, call))
        known.arguments.add(call.inner.text())
        return piece

    def _is_another(self, known: StreamedCall, call: Call, name: str) -> bool:
        """Some servers send all calls under one index, or under none; each of them is whole then."""
        has_other_id = isinstance(call.id, str) and call.id not in ("", known.id)
        if has_other_id and any(c.id == call.id and c.key == known.key for c in self._all):
            raise FormatError("a piece of a tool call came after the next call had begun")
        if not name or not (has_other_id or (call.index is None and not call.id and known.key != LEGACY)):
            return False
        return _is_object(known.arguments.text)

    def _begin(self, key: object, call: Call, name: str) -> StreamedCall:
        """A call is judged when it begins: its name is whole then."""
        if not name:
            raise FormatError("a tool call began without its name")
        if len(self._all) >= _MAX_CALLS:
            raise FormatError(f"more than {_MAX_CALLS} tool calls in one reply")
        self.close()  # the one before is whole once another begins
        known = StreamedCall(key, call.index, str(call.id or ""), name, call.custom is not None)
        verdict = self._judge(name, known.id, known.arguments)
        if verdict is not None:
            known.refused, known.notice = True, verdict.message
        else:
            if self._lookup is not None:
                known.restorer = Restorer(self._lookup, partial(json_escape, levels=0 if known.is_custom else 1))
            self._identify(known)
            self._place(known)
        self._all.append(known)
        self._latest[key] = known
        return known

    def _identify(self, new: StreamedCall) -> None:
        if new.id:
            others = self._with_id.setdefault(new.id, [])
            if others and not self._pass(new.name, *(other.name for other in others)):
                raise FormatError("two tool calls have one id")
            others.append(new)

    def _check_late(self, known: StreamedCall) -> None:
        """Of a piece of a call that another has followed: some clients take it for a piece of that one."""
        latest = next((call for call in reversed(self._all) if not call.refused), known)
        if not known.refused and latest is not known and not self._pass(latest.name):
            raise FormatError("a piece of a tool call came after the next call had begun")

    def _strays(self, known: StreamedCall, call: Call) -> bool:
        """Whether a piece has an id that is not its call's, and must not: where arguments are judged, or a name is."""
        if known.refused or not known.id or call.id in (None, "", known.id):
            return False
        others = self._with_id.get(call.id, ()) if isinstance(call.id, str) else ()
        return not self._pass(known.name, *(other.name for other in others))

    def _place(self, new: StreamedCall) -> None:
        """Give a call the index that it is sent with: one that no other has, unless both may pass as one, too."""
        others = self._beside(new)
        if others:
            slot = others[-1].slot
            joined = self._joined[slot] + new.name
            new.is_numbered = not self._pass(joined, new.name, *{other.name for other in others})
            if not new.is_numbered and new.index is not None:
                new.sent_index = others[-1].sent_index
                self._joined[slot] = joined
                return
        new.sent_index = self._sent
        self._sent += 1
        self._joined[new.slot] = self._joined.get(new.slot, "") + new.name

    def _beside(self, new: StreamedCall) -> list[StreamedCall]:
        """The calls that a client may take for the same one."""
        if new.key == LEGACY:
            return []
        sent = [call for call in self._all if not call.refused and call.key != LEGACY]
        slots = [0] if new.index is None else [call.slot for call in sent if call.index == new.index][-1:]
        return [call for call in sent if call.slot in slots]

    def _renames(self, known: StreamedCall, call: Call, name: str) -> bool:
        """Whether a name that is told again must not go on: joined to what was told, or as that of another call."""
        if name != known.name:
            raise FormatError("a tool call changed its name while it was streamed")
        if known.refused:
            return False
        joined = self._joined[known.slot] + name
        is_same = call.index is not None and call.id in (None, "", known.id)
        if not self._pass(joined, *(() if is_same else (name,))):
            return True
        self._joined[known.slot] = joined
        return False

    def _pass(self, *names: str) -> bool:
        return len(names[0]) <= _MAX_JOINED_NAME and all(map(self._passes, names))

    # --- what is sent ---

    def _edits(self, chunk: bytes, piece: _Piece, *, ends: bool) -> list[Edit]:
        call, known = piece.call, piece.known
        is_placed = known.key == LEGACY or (
            not known.is_numbered if call.index is None else call.index == known.sent_index
        )
        given = call.inner.given
        out = known.restored(given, ends=ends) if isinstance(given, str) else None
        is_object = given is not None and out is None
        if is_placed and not piece.renames and not piece.strays and not is_object and out == given:
            return []  # the common case: nothing of the chunk needs to be looked up
        outer = inner = members(chunk, *piece.at)
        edits = [] if is_placed else [_index_edit(piece, outer.get("index"))]
        if piece.strays:
            edits += without_member(chunk, outer, "id")
        if known.key != LEGACY:
            at = outer.get("custom" if call.custom is not None else "function")
            inner = members(chunk, at.start, at.end) if at is not None and chunk[at.start] == 0x7B else {}
        if piece.renames:
            edits += without_member(chunk, inner, "name")
        if is_object:
            return edits + self._object_edits(chunk, inner, known, call)
        if out is not None and out != given:
            edits.append(string_edit(chunk, inner[call.inner.key], given, out))
        return edits

    def _object_edits(self, chunk: bytes, inner: dict[str, Member], known: StreamedCall, call: Call) -> list[Edit]:
        """Arguments that are an object, which is whole."""
        at = inner[call.inner.key]
        edits = span_edits(chunk, at.start, at.end, self._lookup) if self._lookup is not None else []
        known.shown.append(json_text(read_value(edits[0].replacement)) if edits else call.inner.text())
        return edits


def _is_object(text: str) -> bool:
    """Whether these arguments are whole."""
    try:
        return isinstance(read_value(text.encode()), dict)
    except FormatError:
        return False


def _null(at: Member) -> Edit:
    return Edit(at.start, at.end, b"null")


def _index_edit(piece: _Piece, index: Member | None) -> Edit:
    number = str(piece.known.sent_index).encode()
    if index is not None:
        return Edit(index.start, index.end, number)
    start = piece.at[0] + 1
    return Edit(start, start, b'"index":' + number + b",")
