"""Arguments of a Gemini call in pieces: one object to every reader, at the cost of their length."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.gemini_call import PartialArguments


class Counted(str):
    """Text that counts the characters which are copied to lengthen it."""

    copied = 0

    def __add__(self, other: str) -> Counted:
        Counted.copied += len(self) + len(other)
        return Counted(str(self) + other)


def made(*pieces: tuple[str, Any]) -> PartialArguments:
    partial = PartialArguments()
    for path, value in pieces:
        partial.add(path, value)
    return partial


def test_a_text_in_many_pieces_is_not_copied_for_each() -> None:
    partial = made(*(("$.text", Counted("abc")) for _ in range(2_000)))
    assert json.loads(partial.text()) == {"text": "abc" * 2_000} and not partial.disputed
    assert Counted.copied < 3 * 2_000 * 2


def test_pieces_make_up_one_object() -> None:
    partial = made(("$.a.b", "x"), ("$.list[0]", 1), ("$['list'][1]", None), ("$.a.b", "y"))
    assert json.loads(partial.text()) == {"a": {"b": "xy"}, "list": [1, None]} and not partial.disputed


@pytest.mark.parametrize(
    "pieces",
    [
        [("$.path", "/workspace"), ("$['path']", "/etc")],
        [("$.path", "/workspace"), ("$.path", 1)],
        [("$.path", None), ("$.path", "/etc")],
        [("$.path", "/workspace"), ("$.path.x", "/etc")],
        [("$.path[1]", "/etc")],
        [("path", "/etc")],
        [("", "/etc")],
        [("$.path", "/workspace"), ("$..path", "/etc")],
    ],
)
def test_pieces_that_clients_may_put_together_in_two_ways_are_disputed(pieces: list[tuple[str, Any]]) -> None:
    partial = made(*pieces)
    partial.text()
    assert partial.disputed
