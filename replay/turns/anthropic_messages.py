"""Turns of Messages. Thinking blocks and their signatures go back untouched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from proxy.wire.anthropic_messages_types import Block, MessageHead
from replay.turns.contract import Answered, Fields, Turn, listed, raw
from trajectory.errors import FormatError


class _Message(msgspec.Struct):
    content: list[msgspec.Raw] | None = None
    type: Any = None
    stop_reason: Any = None


class MessagesTurns:
    list_key = "messages"

    def path(self, path: str) -> str:
        return path

    def opened(self, fields: Fields) -> list[msgspec.Raw]:
        fields.pop("stream", None)
        return listed(fields, self.list_key)

    def turn(self, reply: bytes) -> Turn:
        message = msgspec.json.decode(reply, type=_Message)
        if message.type == "error" or message.content is None:
            raise FormatError("it is no message")
        said = msgspec.json.decode(reply, type=MessageHead).reply()
        kept = [block for block in message.content if not _is_empty(block)]
        pieces = (raw({"role": "assistant", "content": kept}),) if kept else ()
        return Turn(pieces, said.text, said.calls, pauses=message.stop_reason == "pause_turn")

    def results(self, answered: Sequence[Answered]) -> list[msgspec.Raw]:
        return [raw({"role": "user", "content": [_result(one) for one in answered]})]


def _is_empty(block: msgspec.Raw) -> bool:
    """A text without a character, which the API gives and does not take."""
    read = msgspec.json.decode(block, type=Block)
    return bool(read.type == "text" and read.text == "")


def _result(one: Answered) -> dict[str, object]:
    marked = {"is_error": True} if one.is_error else {}
    return {"type": "tool_result", "tool_use_id": one.call.id, "content": one.text, **marked}
