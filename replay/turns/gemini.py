"""Turns of generateContent. Parts go back untouched: the first call of a step carries the signature of its thoughts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from proxy.wire.gemini_types import list_of, message_of
from proxy.wire.spelling import fields_of
from replay.turns.contract import Answered, Fields, Turn, listed, raw
from trajectory.conversation import Text
from trajectory.errors import FormatError

_STREAMED = re.compile(r":streamGenerateContent(?:\?(.*))?$")


class GeminiTurns:
    list_key = "contents"

    def path(self, path: str) -> str:
        streamed = _STREAMED.search(path)
        if streamed is None:
            return path
        options = "&".join(one for one in (streamed[1] or "").split("&") if one and not one.startswith("alt="))
        return path[: streamed.start()] + ":generateContent" + (f"?{options}" if options else "")

    def opened(self, fields: Fields) -> list[msgspec.Raw]:
        said = fields.get(self.list_key, msgspec.Raw(b"[]"))
        if bytes(said).lstrip()[:1] == b"{":  # the API also takes one content where a list is meant
            return [fields.pop(self.list_key)]
        return listed(fields, self.list_key)

    def turn(self, reply: bytes) -> Turn:
        read = fields_of(msgspec.json.decode(reply, type=dict[str, Any]), "a reply")
        candidates = list_of(read.get("candidates"), "'candidates'")
        if not candidates and read.get("promptfeedback") is None:
            raise FormatError("it holds no candidate")
        first = fields_of(candidates[0], "a candidate") if candidates else {}
        content = first.get("content")
        if not isinstance(content, dict) or not content.get("parts"):
            return Turn((), "", ())
        said = message_of(content)
        text = "".join(part.text for part in said.parts if isinstance(part, Text))
        return Turn((raw({"role": "model", **content}),), text, said.calls)

    def results(self, answered: Sequence[Answered]) -> list[msgspec.Raw]:
        return [raw({"role": "user", "parts": [{"functionResponse": _response(one)} for one in answered]})]


def _response(one: Answered) -> dict[str, object]:
    known = {"id": one.call.id} if one.call.id else {}
    return {**known, "name": one.call.name, "response": {"error" if one.is_error else "output": one.text}}
