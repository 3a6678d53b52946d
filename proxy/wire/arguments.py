"""The arguments of a call in a reply that is still arriving."""

from __future__ import annotations

import json

from trajectory.errors import FormatError


class ArrivingArguments:
    """Filled by the reader of a stream, piece by piece. `is_whole` once the format says that no piece will follow.

    A stream may say all of them again (`told_again`); where it then says something else, they are `disputed`.
    """

    __slots__ = ("_is_sealed", "_pieces", "disputed", "is_whole")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._is_sealed = False
        self.is_whole = False
        self.disputed = False

    def add(self, piece: str) -> None:
        """Raises FormatError if they have been judged: what comes now, nobody would judge."""
        if self._is_sealed and piece:
            raise FormatError("arguments of a tool call came after its end")
        self._pieces.append(piece)

    def told_again(self, text: str) -> None:
        """Raises FormatError if they have been judged, and are told differently now."""
        if not self._pieces:
            self._pieces.append(text)
        elif not is_same_json(self.text, text):
            if self._is_sealed:
                raise FormatError("a tool call came again with other arguments")
            self.disputed = True

    def close(self) -> None:
        self.is_whole = True

    def seal(self) -> None:
        """They are judged as they are: they may not change any more."""
        self._is_sealed = self.is_whole = True

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


def is_same_json(one: str, other: str) -> bool:
    """Whether two texts are equal, or are the same JSON but for white space and the order of keys."""
    return one == other or (one[:1] in "{[" and _canonical(one) == _canonical(other))


def _canonical(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text
