"""An interaction as a reply holds it, whole or inside a lifecycle event of a stream.

A refused call becomes a `model_output` step in its place, and `requires_action` becomes `completed` where no call is
left. Thoughts and what the provider ran itself pass as they are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import ReplyJudge, TurnCall
from proxy.wire.gemini_interactions_types import CALL, finish_of, usage_of
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, Member, members, span_at
from proxy.wire.spelling import Fields, fields_of
from proxy.wire.verdicts import Verdicts
from trajectory.conversation import Finish, Reply, ToolCall, Usage
from trajectory.errors import FormatError

_MAX_CALLS = 1024
_LISTS = ("steps", "outputs")


class Interaction:
    """What has been read of one interaction. A call is judged once, however often its reply repeats it."""

    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self._verdicts = Verdicts(judge)
        self.texts: list[str] = []
        self.shown: list[str] = []
        self.calls: list[ToolCall] = []
        self.shown_calls: list[ToolCall] = []
        self.turn: list[TurnCall] = []
        self.refused: list[Refuse] = self._verdicts.refused
        self.restored = 0
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._model: str | None = None
        self._id: str | None = None

    @property
    def restores(self) -> bool:
        return self._judge.lookup is not None

    @property
    def finish(self) -> Finish | None:
        return self._finish

    @property
    def calls_are_gone(self) -> bool:
        """Calls were refused, and none is left."""
        return bool(self.refused) and not self.shown_calls

    def verdict(self, name: str, call_id: str, place: int, arguments: str | ArrivingArguments) -> Refuse | None:
        """`place` is the call's place among all calls; it stands for the id where there is none. Arguments as text
        are those of a call that may have been told before.
        """
        key = call_id or f"#{place}"
        if len(self._verdicts) >= _MAX_CALLS:
            raise FormatError(f"more than {_MAX_CALLS} tool calls in one reply")
        if isinstance(arguments, str):
            return self._verdicts.again(name, call_id, key, arguments)
        return self._verdicts.begun(name, call_id, key, arguments)

    def looked_up(self, token: str) -> str | None:
        value = self._judge.lookup(token) if self._judge.lookup is not None else None
        self.restored += value is not None
        return value

    def note(self, interaction: Fields) -> None:
        self._finish = finish_of(interaction.get("status")) or self._finish
        if self._finish is None and interaction.get("error") is not None:
            self._finish = "error"
        if interaction.get("usage") is not None:
            self._usage = usage_of(interaction["usage"])
        if isinstance(interaction.get("model") or interaction.get("agent"), str):
            self._model = interaction.get("model") or interaction.get("agent")
        if isinstance(interaction.get("id"), str):
            self._id = interaction["id"] or None

    def take(self, data: bytes, span: tuple[int, int], raw: Any, *, is_known: bool = False) -> list[Edit]:
        """Judge the interaction at `span`; `is_known`: a stream has already told what it holds."""
        interaction = fields_of(raw, "an interaction")
        self.note(interaction)
        edits: list[Edit] = []
        place = 0
        for name in _LISTS:
            listed = interaction.get(name)
            if listed is None:
                continue
            if not isinstance(listed, list):
                raise FormatError(f"{name!r} must be an array")
            for index, step in enumerate(listed):
                path = (interaction.key(name), index)
                fields = fields_of(step, "a step")
                if fields.get("type") == CALL:
                    edits += self._call(data, span, path, fields, place, is_known=is_known)
                    place += 1
                else:
                    edits += self._texts(data, span, path, fields, is_known=is_known)
        if isinstance(interaction.get("outputtext"), str):
            edits += self._restored(data, span_at(data, (interaction.key("outputtext"),), *span))
        return edits + self.mended(data, span, interaction)

    def mended(self, data: bytes, span: tuple[int, int], owner: Fields) -> list[Edit]:
        """`status` of an object: nobody waits for a call that was refused."""
        if owner.get("status") != "requires_action" or not self.calls_are_gone:
            return []
        at = members(data, *span)[owner.key("status")]
        return [Edit(at.start, at.end, b'"completed"')]

    def reply(self) -> Reply:
        """As the upstream gave it, refused calls included."""
        return self._reply(self.texts, self.calls, self._finish)

    def client_reply(self) -> Reply:
        finish = "end" if self.calls_are_gone and self._finish == "tool_call" else self._finish
        return self._reply(self.shown, self.shown_calls, finish)

    def _reply(self, texts: list[str], calls: list[ToolCall], finish: Finish | None) -> Reply:
        text = "\n".join(text for text in texts if text)
        return Reply(text, tuple(calls), finish, self._usage, self._model, self._id)

    def _call(
        self, data: bytes, span: tuple[int, int], path: tuple[str, int], call: Fields, place: int, *, is_known: bool
    ) -> list[Edit]:
        name, call_id = named(call)
        at = _found(span_at(data, path, *span))
        arguments = span_at(data, (call.keys_as_written.get("arguments", ""),), at.start, at.end)
        raw = data[arguments.start : arguments.end].decode() if arguments is not None else "{}"
        verdict = self.verdict(name, call_id, place, raw)
        if not is_known:
            self.calls.append(ToolCall(call_id, name, raw))
            notice = verdict.message if verdict is not None else None
            self.turn.append(TurnCall(call_id, name, notice, data[at.start : at.end]))
        if verdict is not None:
            if not is_known:
                self.shown.append(verdict.message)
            return [Edit(at.start, at.end, msgspec.json.encode(notice_step(verdict.message)))]
        edits = self._restored(data, arguments)
        if not is_known:
            self.shown_calls.append(ToolCall(call_id, name, edits[0].replacement.decode() if edits else raw))
        return edits

    def _texts(
        self, data: bytes, span: tuple[int, int], path: tuple[str, int], step: Fields, *, is_known: bool
    ) -> list[Edit]:
        """The texts of a `model_output` step; of a content that stands for one, as older versions send it."""
        edits: list[Edit] = []
        contents = step.get("content") if step.get("type") == "model_output" else None
        places: list[tuple[tuple[str | int, ...], Fields]] = [(path, step)]
        if isinstance(contents, list):
            base = (*path, step.key("content"))
            places = [((*base, i), fields_of(content, "a content")) for i, content in enumerate(contents)]
        for where, content in places:
            check_content(content)
            text = content.get("text")
            if content.get("type") != "text" or not isinstance(text, str):
                continue
            found = self._restored(data, span_at(data, (*where, content.key("text")), *span))
            if not is_known:
                self.texts.append(text)
                self.shown.append(str(msgspec.json.decode(found[0].replacement)) if found else text)
            edits += found
        return edits

    def _restored(self, data: bytes, at: Member | None) -> list[Edit]:
        """Pseudonyms put back in the JSON value at `at`."""
        if at is None or not self.restores:
            return []
        return span_edits(data, at.start, at.end, self.looked_up)


def named(call: Fields) -> tuple[str, str]:
    """Name and id of a call."""
    name, call_id = call.get("name"), call.get("id")
    if not isinstance(name, str) or not name:
        raise FormatError("a tool call has no name")
    return name, call_id if isinstance(call_id, str) else ""


def check_content(content: Fields) -> None:
    """Raises FormatError for a call that is no step of its own: nobody here would judge it."""
    if content.get("type") == CALL:
        raise FormatError("a tool call came without its step")


def notice_step(message: str) -> dict[str, object]:
    return {"type": "model_output", "content": [{"type": "text", "text": message}]}


def _found(at: Member | None) -> Member:
    if at is None:  # pragma: no cover - the decoder has just seen it
        raise FormatError("a step could not be found again")
    return at
