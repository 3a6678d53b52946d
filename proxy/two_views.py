"""The turns of a trajectory of which the client got another view than the upstream has: refused calls as notices.

What a client sends back is its own view. Reasoning is bound to the upstream's, and so are prompt caches; so that one is
put back, call by call. Only what this memory holds is ever put back, where it stood and as the client got it: text
that merely looks like a notice stays text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from proxy.wire.format import TurnCalls, Wire
from proxy.wire.layout import Layout

_MAX_PLACES = 256
_MAX_HELD_BYTES = 1024 * 1024
_MAX_ALIKE = 8  # answers to one conversation, of which the client goes on with one, or to several at the same length


class _Answer(NamedTuple):
    """`before` stands for what the item before it says; None where that was no item."""

    turn: TurnCalls
    before: int | None

    @property
    def held_bytes(self) -> int:
        return sum(len(call.raw) + len(call.notice or "") + len(call.id) + len(call.name) for call in self.turn)


@dataclass(slots=True, eq=False)
class TwoViews:
    """Of one trajectory. Of more than it has room for, the oldest turns are forgotten: they go out as they come.

    A turn is known by its place, the index of its first item, and by the ids that a server may hold it under.
    """

    held_bytes: int = 0
    _known: dict[int | str, tuple[_Answer, ...]] = field(default_factory=dict)

    def answered(self, wire: Wire, layout: Layout, reply_id: str | None, turn: TurnCalls) -> None:
        """`turn` is the answer to `layout`, which the client has got in full; empty where both views are the same."""
        if not turn and not self._known:
            return
        held = wire.held_turn(layout)
        latest = held.id if held is not None and held.is_latest else None
        if latest is not None:
            self._taken(latest)
        if not turn or any(call.notice is not None and not call.raw for call in turn):
            return
        at = len(layout.items)
        # a request that is one string comes again as one item
        answer = _Answer(turn, _said_before(wire, layout, at) if at else None)
        for place in (at or 1, reply_id, latest):
            if place:
                answers = (answer, *self._taken(place))[:_MAX_ALIKE]
                self._known[place] = answers
                self.held_bytes += _bytes_of(answers)
        while len(self._known) > _MAX_PLACES or self.held_bytes > _MAX_HELD_BYTES:
            self._taken(next(iter(self._known)))

    def put_back(self, wire: Wire, layout: Layout) -> int:
        """The number of refused calls that were put back into what is new in `layout`."""
        if not self._known:
            return 0
        count = self._put_back_held(wire, layout)
        at = max(layout.kept, 1)
        while at < len(layout.items):
            put = next(self._put_back_at(wire, layout, at), None)
            if put is not None:
                turn, end = put
                layout.tie(at, end)
                count += _refused(turn)
            at = put[1] if put is not None else at + 1
        return count

    def _taken(self, place: int | str) -> tuple[_Answer, ...]:
        """What was known of a place, and is no more."""
        answers = self._known.pop(place, ())
        self.held_bytes -= _bytes_of(answers)
        return answers

    def _put_back_held(self, wire: Wire, layout: Layout) -> int:
        held = wire.held_turn(layout)
        for turn, _ in self._known.get(held.id, ())[:1] if held is not None else ():
            if wire.put_back(layout, None, turn) is not None:
                return _refused(turn)
        return 0

    def _put_back_at(self, wire: Wire, layout: Layout, at: int) -> Iterator[tuple[TurnCalls, int]]:
        """The turn that was put back at `at`, and where it ends."""
        answers = self._known.get(at, ())
        before = _said_before(wire, layout, at) if answers else None
        for answer in answers:
            if answer.before in (None, before):
                end = wire.put_back(layout, at, answer.turn)
                if end is not None:
                    yield answer.turn, end


def _said_before(wire: Wire, layout: Layout, at: int) -> int:
    """The same for all that says the same, whatever marks for a cache or ids stand beside it."""
    return hash(wire.read_message(layout.items[at - 1].section))


def _refused(turn: TurnCalls) -> int:
    return sum(call.notice is not None for call in turn)


def _bytes_of(answers: tuple[_Answer, ...]) -> int:
    return sum(answer.held_bytes for answer in answers)
