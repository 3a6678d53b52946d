"""Turns of Responses. Reasoning items go back untouched, in their places among the calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from proxy.wire.openai_responses_types import call_of, reply_of
from replay.turns.contract import Answered, Fields, Turn, listed, raw
from trajectory.errors import FormatError

_STREAM = ("stream", "stream_options")


class _Response(msgspec.Struct):
    output: list[msgspec.Raw] | None = None
    status: Any = None


class ResponsesTurns:
    list_key = "input"

    def path(self, path: str) -> str:
        return path

    def opened(self, fields: Fields) -> list[msgspec.Raw]:
        for key in _STREAM:
            fields.pop(key, None)
        asked = fields.get(self.list_key, msgspec.Raw(b"[]"))
        if bytes(asked).lstrip()[:1] == b'"':
            del fields[self.list_key]
            return [raw({"role": "user", "content": asked})]
        return listed(fields, self.list_key)

    def turn(self, reply: bytes) -> Turn:
        response = msgspec.json.decode(reply, type=_Response)
        if response.output is None:
            raise FormatError("it is no response")
        read = msgspec.json.decode(reply, type=dict[str, Any])
        if response.status == "failed":
            raise FormatError(f"the response failed: {str(read.get('error'))[:300]}")
        said = reply_of(read)
        items = [item for item in read["output"] if isinstance(item, dict)]
        kinds = tuple(str(item.get("type")) for item in items if call_of(item) is not None)
        return Turn(tuple(response.output), said.text, said.calls, kinds)

    def results(self, answered: Sequence[Answered]) -> list[msgspec.Raw]:
        return [raw({"type": f"{one.kind}_output", "call_id": one.call.id, "output": one.text}) for one in answered]
