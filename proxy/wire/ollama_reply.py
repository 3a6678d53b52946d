"""Replies of Ollama's native API: JSON objects one after another, each whole by itself.

1. An object that no rule concerns keeps its bytes.
2. A tool call stands whole in one object. A refused one is taken out of it and becomes text there; the indices of
   the calls after it move up. Ollama gives no reason that speaks of tools, so none is mended.
3. A suffix that may be the start of a pseudonym is held until later text decides it, at the latest until the object
   that says `done`. Reasoning (`thinking`) is never touched.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from policies.redaction.restore import Restorer, json_escape, restore
from policies.verdict import Refuse
from proxy.wire.case import check_case, check_cases
from proxy.wire.counts import count
from proxy.wire.format import ReplyJudge, TurnCall, TurnCalls
from proxy.wire.spans import Edit, Texts, apply_edits, elements, quoted, read_json, removal, span_at
from trajectory.conversation import Finish, Reply, ToolCall, Usage
from trajectory.errors import FormatError

_Place = list[str | int]
_TOP = frozenset(
    {"tool_calls", "message", "response", "done", "done_reason", "error", "model", "prompt_eval_count", "eval_count"}
)
_MESSAGE = frozenset({"role", "content", "thinking", "tool_calls", "tool_name", "images"})
_CALL = frozenset({"function", "id"})
_FUNCTION = frozenset({"name", "arguments", "index"})
_FINISH: dict[str, Finish] = {"length": "length"}


class OllamaReader:
    """Reads the objects of one reply in order."""

    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self._restorer = Restorer(self._looked_up) if judge.lookup is not None else None
        self._text: list[str] = []
        self._shown: list[str] = []
        self._calls: list[ToolCall] = []
        self._shown_calls: list[ToolCall] = []
        self._turn: list[TurnCall] = []
        self._refused_places: list[int] = []
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._model: str | None = None
        self._texts: Texts = ()
        self.edited = False
        self.refused: list[Refuse] = []
        self.restored = 0
        self.ended = False
        self.failed = False

    def read(self, raw: bytes, *, is_whole: bool = False) -> bytes:
        """What the client gets of one object; `is_whole` if there are no others.

        Raises FormatError where it cannot be judged.
        """
        value, self._texts = read_json(raw)
        place, holder = _checked(value)
        self._note(value)
        edits, notice = self._judged(raw, place, holder.get("tool_calls"))
        key = "content" if place else "response"
        piece = holder.get(key)
        if piece is not None and not isinstance(piece, str):
            raise FormatError(f"{key!r} must be a string")
        shown = self._said(piece or "", notice, is_last=is_whole or self.ended)
        if shown != (piece or ""):
            edits.append(_text_edit(raw, place, key, shown))
        self.edited = self.edited or bool(edits)
        return apply_edits(raw, edits) if edits else raw

    def held(self) -> str:
        """What was held only for lack of more."""
        rest = self._restorer.flush() if self._restorer is not None else ""
        if rest:
            self._shown.append(rest)
            self.edited = True
        return rest

    def texts(self) -> Texts:
        """Of the object that was read last."""
        return self._texts

    def reply(self) -> Reply:
        finish = "error" if self.failed else self._finish
        return Reply("".join(self._text), tuple(self._calls), finish, self._usage, self._model)

    def client_reply(self) -> Reply:
        return Reply("".join(self._shown), tuple(self._shown_calls), "error" if self.failed else self._finish)

    def turn(self) -> TurnCalls:
        return tuple(self._turn)

    def _note(self, value: dict[str, Any]) -> None:
        self.failed = self.failed or bool(value.get("error"))
        if isinstance(value.get("model"), str):
            self._model = value["model"]
        if value.get("done") is True:
            self.ended = True
            self._finish = _FINISH.get(str(value.get("done_reason")), "tool_call" if self._calls else "end")
            self._usage = Usage(count(value.get("prompt_eval_count")), count(value.get("eval_count")))

    def _said(self, piece: str, notice: str, *, is_last: bool) -> str:
        self._text.append(piece)
        shown = self._restorer.feed(piece) if self._restorer is not None else piece
        if (is_last or notice) and self._restorer is not None:
            shown += self._restorer.flush()
        if notice:
            before = any(self._shown) or bool(shown)
            shown += f"\n\n{notice}" if before else notice
        self._shown.append(shown)
        return shown

    def _judged(self, raw: bytes, place: _Place, calls: list[Any] | None) -> tuple[list[Edit], str]:
        """Edits of the calls of one object, and what is said in place of those that are refused."""
        if not calls:
            return [], ""
        listed = _bounds(raw, [*place, "tool_calls"])
        spans = elements(raw, *listed)
        edits: list[Edit] = []
        drop: set[int] = set()
        notices: list[str] = []
        for number, call in enumerate(map(_call, calls)):
            at = len(self._calls)
            self._calls.append(call)
            refused = self._judge.call(call.name, call.id, call.arguments)
            notice = refused.message if refused is not None else None
            self._turn.append(TurnCall(call.id, call.name, notice, raw[slice(*spans[number])]))
            if refused is None:
                edits += self._kept(raw, [*place, "tool_calls", number, "function"], call, at)
                continue
            self.refused.append(refused)
            self._refused_places.append(at)
            drop.add(number)
            notices.append(refused.message)
        if drop and len(drop) == len(spans):
            edits = [Edit(*listed, b"[]")]
        elif drop:
            edits += removal(raw, spans, drop)
        if self._finish == "end":
            self._finish = "tool_call"
        return edits, "\n\n".join(notices)

    def _kept(self, raw: bytes, path: _Place, call: ToolCall, at: int) -> list[Edit]:
        """A call that stays: its values restored, and its index moved up where calls before it are gone."""
        edits: list[Edit] = []
        index = span_at(raw, [*path, "index"])
        if index is not None and self._refused_places:
            edits.append(Edit(index.start, index.end, b"%d" % (at - len(self._refused_places))))
        arguments = call.arguments
        found = span_at(raw, [*path, "arguments"])
        if found is not None and self._judge.lookup is not None:
            levels = 2 if raw[found.start : found.start + 1] == b'"' else 1
            before = raw[found.start : found.end].decode()
            after = restore(before, self._looked_up, partial(json_escape, levels=levels))
            if after != before:
                edits.append(Edit(found.start, found.end, after.encode()))
                arguments = after if levels == 1 else msgspec.json.decode(after, type=str)
        self._shown_calls.append(ToolCall(call.id, call.name, arguments))
        return edits

    def _looked_up(self, token: str) -> str | None:
        value = self._judge.lookup(token) if self._judge.lookup is not None else None
        self.restored += value is not None
        return value


def _checked(value: object) -> tuple[_Place, dict[str, Any]]:
    """Where in an object its text and calls stand: in its message, or in itself (generate).

    Raises FormatError where two readers could disagree about it.
    """
    if not isinstance(value, dict):
        raise FormatError("the reply is not a JSON object")
    check_case(value, _TOP, "the reply")
    message = value.get("message")
    if message is not None and not isinstance(message, dict):
        raise FormatError("'message' must be an object")
    holder = value if message is None else message
    check_case(holder, _TOP if message is None else _MESSAGE, "the message")
    calls = holder.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise FormatError("'tool_calls' must be an array")
    check_cases(calls or (), _CALL, "a tool call")
    check_cases((c.get("function") for c in calls or () if isinstance(c, dict)), _FUNCTION, "a tool call")
    return ([] if message is None else ["message"]), holder


def _call(raw: object) -> ToolCall:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(function, dict):
        raise FormatError("a tool call names no function")
    name, arguments = function.get("name"), function.get("arguments")
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    call_id = raw.get("id")
    return ToolCall(call_id if isinstance(call_id, str) else "", name if isinstance(name, str) else "", text)


def _bounds(raw: bytes, path: _Place) -> tuple[int, int]:
    at = span_at(raw, path)
    if at is None:  # pragma: no cover - it has just been read
        raise FormatError("a part of the reply could not be found again")
    return at.start, at.end


def _text_edit(raw: bytes, place: _Place, key: str, text: str) -> Edit:
    at = span_at(raw, [*place, key])
    written = quoted(text)
    if at is not None:
        return Edit(at.start, at.end, written)
    start = _bounds(raw, place)[0] if place else raw.index(b"{")
    rest = raw[start + 1 :].lstrip()
    return Edit(start + 1, start + 1, b'"' + key.encode() + b'":' + written + (b"" if rest[:1] == b"}" else b","))
