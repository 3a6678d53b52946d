"""Parts of putting the upstream's view of a turn back that several formats share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from proxy.wire.format import TurnCall
from proxy.wire.layout import decoded
from proxy.wire.spans import Edit, read_json
from trajectory.errors import FormatError

_GAP = "\n\n"


def refused(turn: Iterable[TurnCall]) -> list[TurnCall]:
    return [call for call in turn if call.notice is not None]


def with_arguments(begun: bytes, key: str, arguments: str) -> bytes:
    """A call as it began in a stream, with all of its arguments under `key`. Empty if they are no JSON object."""
    call = decoded(begun)
    try:
        given = read_json((arguments or "{}").encode())[0]
    except FormatError:
        return b""
    if not isinstance(given, dict) or not isinstance(call, dict):
        return b""
    return msgspec.json.encode({**call, key: msgspec.Raw((arguments or "{}").encode())})


def is_notice(text: object, call: TurnCall) -> bool:
    """Whether a text of its own is what the client got in place of this call; clients trim what they show."""
    return isinstance(text, str) and call.notice is not None and text.strip() == call.notice.strip()


def is_any_notice(text: object, turn: Iterable[TurnCall]) -> bool:
    """Whether it might stand for some call: where a model says so by itself, nobody can tell which one does."""
    return any(is_notice(text, call) for call in turn)


def without_notices(text: str, notices: Iterable[str | None]) -> str | None:
    """`text` without these notices, each set off by blank lines; None unless all stand in it, in this order."""
    left: list[str] = []
    at = 0
    for notice in notices:
        if not notice:
            return None
        found = text.find(notice, at)
        while found > at and not text.endswith(_GAP, at, found):
            found = text.find(notice, found + 1)
        if found < 0:
            return None
        left.append(text[at:found].removesuffix(_GAP))
        at = found + len(notice)
        if text.startswith(_GAP, at):
            at += len(_GAP)
    return "".join(left) + text[at:]


def woven(size: int, among: Sequence[TurnCall]) -> dict[int, list[TurnCall]]:
    """Where the refused calls of a turn go into a list of `size` elements that stand for its allowed ones: before
    which element, or at `size` behind the last.
    """
    places: dict[int, list[TurnCall]] = {}
    at = 0
    for call in among:
        if call.notice is None:
            at = min(at + 1, size)
        else:
            places.setdefault(at, []).append(call)
    return places


def insertions(spans: list[tuple[int, int]], end: int, values: Mapping[int, Sequence[bytes]]) -> list[Edit]:
    """Edits that put `values` into an array, before the element with that index; at the number of elements, behind
    the last. `spans` are the elements' positions, and the array's bracket closes before `end`.
    """
    edits: list[Edit] = []
    for index, more in values.items():
        text = b",".join(more)
        if index < len(spans):
            edits.append(Edit(spans[index][0], spans[index][0], text + b","))
        elif spans:
            edits.append(Edit(spans[-1][1], spans[-1][1], b"," + text))
        else:
            edits.append(Edit(end - 1, end - 1, text))
    return edits
