"""Turns of chat completions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from proxy.wire.openai_chat_types import Turn as ReadTurn
from replay.turns.contract import Answered, Fields, Turn, listed, raw

# Of an assistant message, what no server takes back as input.
_REPLY_ONLY = frozenset({"annotations", "audio"})


class _Choice(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw(b"{}")


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []


class ChatTurns:
    list_key = "messages"

    def path(self, path: str) -> str:
        return path

    def opened(self, fields: Fields) -> list[msgspec.Raw]:
        for key in ("stream", "stream_options"):
            fields.pop(key, None)
        return listed(fields, self.list_key)

    def turn(self, reply: bytes) -> Turn:
        choices = msgspec.json.decode(reply, type=_Completion).choices
        message = choices[0].message if choices else msgspec.Raw(b"{}")
        said = msgspec.json.decode(message, type=ReadTurn)
        fields = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
        kept = {key: value for key, value in fields.items() if key not in _REPLY_ONLY and bytes(value) != b"null"}
        kept.setdefault("role", msgspec.Raw(b'"assistant"'))
        calls = tuple(said.all_calls())
        is_legacy = said.function_call is not None and not said.tool_calls
        return Turn((raw(kept),), said.text(), calls, ("function" if is_legacy else "tool",) * len(calls))

    def results(self, answered: Sequence[Answered]) -> list[msgspec.Raw]:
        return [raw(_message(one)) for one in answered]


def _message(one: Answered) -> dict[str, str]:
    if one.kind == "function":
        return {"role": "function", "name": one.call.name, "content": one.text}
    return {"role": "tool", "tool_call_id": one.call.id, "content": one.text}
