"""Upstreams that hold a conversation to their provider's rules, and clients that send back what they were given.

A strict upstream answers only a conversation in which each call has its one result, and in which all that it said
itself stands as it said it: its seals (thinking signatures, encrypted reasoning) are bound to what precedes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Item = dict[str, Any]
Ids = list[tuple[str, str]]
"""Id and name of each call."""


@dataclass(frozen=True)
class Piece:
    """Something that a model says: a text, or a call of the tool `name`."""

    text: str = ""
    name: str = ""
    arguments: str = "{}"


def say(text: str) -> Piece:
    return Piece(text)


def call(name: str, **arguments: Any) -> Piece:
    return Piece(name=name, arguments=json.dumps(arguments))


def seal(*before: Any) -> str:
    """What only this upstream could have written behind just that."""
    return hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()[:24]


class Strict:
    """One provider's rules, and one client's habits. Made anew for each conversation: ids count up."""

    path = ""
    list_key = ""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._numbers: Iterator[int] = iter(range(1, 10_000))

    def call_id(self, piece: Piece) -> str:
        return f"call_{next(self._numbers):04}"

    def request(self, items: list[Item], *, streamed: bool, **more: Any) -> bytes:
        """The list stands before all that differs from turn to turn."""
        return json.dumps({"model": "m-1", **more, self.list_key: items, "stream": streamed}).encode()

    def problem(self, request: dict[str, Any]) -> str | None:
        """Why the provider would not take it."""
        raise NotImplementedError

    def said(self, request: dict[str, Any], pieces: list[Piece]) -> list[Item]:
        """The items of an answer to `request`, as they belong into the next one."""
        raise NotImplementedError

    def whole(self, said: list[Item]) -> bytes:
        raise NotImplementedError

    def stream(self, said: list[Item]) -> bytes:
        raise NotImplementedError

    def got(self, reply: bytes, *, streamed: bool) -> list[Item]:
        """What a client keeps of a reply, through its SDK where that has something to do."""
        raise NotImplementedError

    def calls(self, got: list[Item]) -> Ids:
        raise NotImplementedError

    def results(self, calls: Ids) -> list[Item]:
        raise NotImplementedError

    def user(self, text: str) -> Item:
        raise NotImplementedError
