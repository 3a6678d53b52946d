"""Where two JSON bodies part, told in a line that a person can act on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BEFORE, _AFTER = 20, 60


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` such as `messages[2].content`; empty for the body itself. A side that lacks the place shows as absent."""

    path: str
    recorded: str
    got: str

    def __str__(self) -> str:
        return f"{self.path or 'the body'}: recorded {self.recorded}, got {self.got}"


ABSENT = "nothing"


def differences(recorded: bytes, got: bytes) -> tuple[Difference, ...]:
    """In the order of the recorded body; empty if both mean the same."""
    try:
        return tuple(_walk("", json.loads(recorded), json.loads(got)))
    except (ValueError, RecursionError):
        if recorded == got:
            return ()
        return (_difference("", recorded.decode("utf-8", "replace"), got.decode("utf-8", "replace")),)


def _walk(path: str, recorded: Any, got: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(got, dict):
        for key in (*recorded, *(key for key in got if key not in recorded)):
            where = f"{path}.{key}" if path else key
            yield from _side_by_side(where, key in recorded, key in got, recorded.get(key), got.get(key))
    elif isinstance(recorded, list) and isinstance(got, list):
        for at in range(max(len(recorded), len(got))):
            here, there = at < len(recorded), at < len(got)
            yield from _side_by_side(
                f"{path}[{at}]", here, there, recorded[at] if here else None, got[at] if there else None
            )
    elif recorded != got or isinstance(recorded, bool) != isinstance(got, bool):
        yield _difference(path, recorded, got)


def _side_by_side(path: str, here: bool, there: bool, recorded: Any, got: Any) -> Iterator[Difference]:
    if here and there:
        yield from _walk(path, recorded, got)
    elif here:
        yield Difference(path, _shown(_text(recorded), 0), ABSENT)
    else:
        yield Difference(path, ABSENT, _shown(_text(got), 0))


def _difference(path: str, recorded: Any, got: Any) -> Difference:
    one, other = _text(recorded), _text(got)
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return Difference(path, _shown(one, same), _shown(other, same))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shown(text: str, around: int) -> str:
    """The part where two long values begin to differ."""
    start = max(0, around - _BEFORE) if len(text) > _BEFORE + _AFTER else 0
    part = text[start : around + _AFTER] if len(text) > _BEFORE + _AFTER else text
    return f"{'…' if start else ''}{part}{'…' if start + len(part) < len(text) else ''}"
