"""Interactions, streamed: steps by index, each started, filled by deltas and stopped.

1. An event that no rule concerns goes on byte for byte, in the part it came in.
2. A call is judged at its `step.start`, which holds its name. A refused one starts as a `model_output` step with a
   delta of text behind it; its further deltas become empty texts, so that their usage and event ids stay.
3. A suffix that may be the start of a pseudonym is held, per step, until it is decidable or the step stops.
4. `interaction.completed` is held until `[DONE]` or the end of the stream: it is the last part, and waits until the
   step is recorded. Events that this code does not know pass, unless a call stands in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from policies.redaction.restore import Restorer, json_escape
from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import ReplyJudge, TurnCall, TurnCalls
from proxy.wire.frame_stream import FrameStream
from proxy.wire.gemini_interactions_reply import Interaction, check_content, named
from proxy.wire.gemini_interactions_types import CALL
from proxy.wire.put_back import with_arguments
from proxy.wire.spans import Edit, Member, apply_edits, members, quoted, read_value, span_at
from proxy.wire.spelling import Fields, fields_of
from proxy.wire.sse import event, name_and_data, with_data
from trajectory.conversation import Reply, ToolCall
from trajectory.errors import FormatError

_MAX_STEPS = 10_000
_PIECES = {"text": "text", "arguments_delta": "arguments"}


@dataclass(slots=True, eq=False)
class _Step:
    """`piece` is the type of delta that says something here: text, or arguments of a call."""

    kind: str
    piece: str = ""
    id: str = ""
    name: str = ""
    begun: bytes = b"{}"
    refused: bool = False
    restorer: Restorer | None = None
    said: list[str] = field(default_factory=list)
    arguments: ArrivingArguments = field(default_factory=ArrivingArguments)
    shown: list[str] = field(default_factory=list)

    def turn_call(self) -> TurnCall:
        raw = with_arguments(self.begun, "arguments", self.arguments.text)
        return TurnCall(self.id, self.name, "".join(self.shown) if self.refused else None, raw)

    def told(self) -> str:
        """What the upstream said in it."""
        return self.arguments.text if self.kind == CALL else "".join(self.said)


class InteractionStream(FrameStream):
    def __init__(self, judge: ReplyJudge) -> None:
        super().__init__()
        self._interaction = Interaction(judge)
        self._steps: dict[int, _Step] = {}
        self._held = b""
        self._holds = False
        self._calls = 0
        self.edited = False
        self.failed = False
        self.restored = 0
        self.refused: list[Refuse] = self._interaction.refused

    def reply(self) -> Reply:
        return self._with_steps(self._interaction.reply(), is_shown=False)

    def client_reply(self) -> Reply:
        return self._with_steps(self._interaction.client_reply(), is_shown=True)

    def turn(self) -> TurnCalls:
        steps = [self._steps[index] for index in sorted(self._steps)]
        return tuple(step.turn_call() for step in steps if step.kind == CALL) or tuple(self._interaction.turn)

    def _with_steps(self, reply: Reply, *, is_shown: bool) -> Reply:
        """What the steps told, unless only a lifecycle event held them."""
        steps = [self._steps[index] for index in sorted(self._steps)]
        pieces = [(step, "".join(step.shown) if is_shown else step.told()) for step in steps]
        calls = [(s, text) for s, text in pieces if s.kind == CALL and not (is_shown and s.refused)]
        texts = [text for s, text in pieces if text and (s.kind != CALL or (is_shown and s.refused))]
        found = tuple(ToolCall(s.id, s.name, text or "{}") for s, text in calls)
        finish = "error" if self.failed else reply.finish
        text = "\n".join(texts) or reply.text
        return Reply(text, found or reply.calls, finish, reply.usage, reply.model, reply.id)

    def _frame(self, frame: bytes) -> bytes:
        name, data = name_and_data(frame)
        data = data.replace(b"\n", b" ")
        if not data.strip():
            if self._holds:
                self._held += frame
                return b""
            return frame
        if data.strip() == b"[DONE]":
            self.ended = True
            return self._flushed() + frame
        value = read_value(data)
        told = fields_of(value, "an event")
        kind = told.setdefault("eventtype", name)
        if name not in (kind, "", "message") and (_is_known(name) or _is_known(kind)):
            raise FormatError("an event goes by two names")  # clients read the one or the other
        before, edits, behind = self._told(data, told)
        self.restored = self._interaction.restored
        self.edited = self.edited or bool(before or edits or behind)
        out = with_data(frame, apply_edits(data, edits)) if edits else frame
        if told.get("eventtype") == "interaction.completed":
            ahead = self._released() + before
            self._held, self._holds = out, True
            return ahead
        return self._released() + before + out + behind

    def _told(self, data: bytes, told: Fields) -> tuple[bytes, list[Edit], bytes]:
        """What goes ahead of an event, what changes in it, and what follows it."""
        match told.get("eventtype"):
            case "step.start":
                return self._start(data, told)
            case "step.delta":
                return b"", self._delta(data, told), b""
            case "step.stop":
                return self._stopped(told.get("index")), [], b""
            case "interaction.created" | "interaction.completed":
                return self._lifecycle(data, told)
            case "interaction.status_update":
                return b"", self._interaction.mended(data, (0, len(data)), told), b""
            case "error":
                self.failed = True
            case _:
                _without_calls(dict(told))
        return b"", [], b""

    def _start(self, data: bytes, told: Fields) -> tuple[bytes, list[Edit], bytes]:
        index, raw = told.get("index"), fields_of(told.get("step"), "a step")
        if not isinstance(index, int) or len(self._steps) >= _MAX_STEPS:
            raise FormatError("a step has no index, or there are too many")
        before = self._stopped(index)
        if index in self._steps and self._steps[index].kind == CALL:
            raise FormatError("a tool call began twice")
        at = span_at(data, (told.key("step"),))
        kind = str(raw.get("type") or "")
        step = self._steps[index] = _Step(kind)
        if at is None or kind != CALL:
            return before, self._begun_text(data, at, step, raw), b""
        step.name, step.id = named(raw)
        step.begun = data[at.start : at.end]
        step.piece = "arguments_delta"
        given = raw.get("arguments")
        listed = members(data, at.start, at.end)[raw.key("arguments")] if given else None
        if listed is not None:
            step.arguments.add(data[listed.start : listed.end].decode())
        verdict = self._interaction.verdict(step.name, step.id, self._calls, step.arguments)
        self._calls += 1
        if verdict is not None:
            step.refused = True
            step.shown.append(verdict.message)
            notice = _delta(index, {"type": "text", "text": verdict.message})
            return before, [Edit(at.start, at.end, b'{"type":"model_output"}')], notice
        self._interaction.shown_calls.append(ToolCall(step.id, step.name, ""))
        step.restorer = self._restorer(1)
        return before, self._given(data, listed, step), b""

    def _given(self, data: bytes, at: Member | None, step: _Step) -> list[Edit]:
        """Arguments, or a text as it stands in JSON, that came whole with the start of a step."""
        if at is None:
            return []
        raw = data[at.start : at.end].decode()
        restorer = self._restorer(1)
        out = raw if restorer is None else restorer.feed(raw) + restorer.flush()
        if step.kind != CALL:
            step.said.append(raw)
        step.shown.append(out)
        return [Edit(at.start, at.end, out.encode())] if out != raw else []

    def _begun_text(self, data: bytes, at: Member | None, step: _Step, raw: Fields) -> list[Edit]:
        if step.kind != "model_output":
            return []
        step.piece = "text"
        step.restorer = self._restorer(0)
        edits: list[Edit] = []
        contents = raw.get("content")
        for place, one in enumerate(contents if isinstance(contents, list) else []):
            content = fields_of(one, "a content")
            check_content(content)
            if at is None or content.get("type") != "text" or not isinstance(content.get("text"), str):
                continue
            where = span_at(data, (raw.key("content"), place, content.key("text")), at.start, at.end)
            edits += self._given(data, where, step)
            step.said[-1] = content["text"]
            step.shown[-1] = str(msgspec.json.decode(step.shown[-1]))
        return edits

    def _delta(self, data: bytes, told: Fields) -> list[Edit]:
        delta = fields_of(told.get("delta"), "a delta")
        kind = delta.get("type")
        step = self._steps.get(told["index"]) if isinstance(told.get("index"), int) else None
        if kind == CALL or (kind == "arguments_delta" and step is None):
            raise FormatError("a tool call came without its step")
        name = _PIECES.get(kind, "") if isinstance(kind, str) else ""
        text = delta.get(name) if name else None
        if step is None or kind != step.piece or not isinstance(text, str):
            return []
        if step.kind == CALL:
            step.arguments.add(text)
        else:
            step.said.append(text)
        if step.refused:
            return self._emptied(data, told)
        out = text if step.restorer is None else step.restorer.feed(text)
        step.shown.append(out)
        if out == text:
            return []
        at = span_at(data, (told.key("delta"), delta.key(name)))
        return [Edit(at.start, at.end, quoted(out))] if at is not None else []

    def _emptied(self, data: bytes, told: Fields) -> list[Edit]:
        at = members(data)[told.key("delta")]
        return [Edit(at.start, at.end, b'{"type":"text","text":""}')]

    def _stopped(self, index: Any) -> bytes:
        """What was held of a step, as a delta of its own."""
        step = self._steps.get(index) if isinstance(index, int) else None
        if step is not None:
            step.arguments.close()
        held = step.restorer.flush() if step is not None and step.restorer is not None else ""
        if step is None or not held:
            return b""
        step.shown.append(held)
        self.edited = True
        return _delta(index, {"type": step.piece, _PIECES[step.piece]: held})

    def _flushed(self) -> bytes:
        return self._all_stopped() + self._released()

    def _all_stopped(self) -> bytes:
        return b"".join(self._stopped(index) for index in list(self._steps))

    def _lifecycle(self, data: bytes, told: Fields) -> tuple[bytes, list[Edit], bytes]:
        raw = told.get("interaction")
        at = span_at(data, (told.key("interaction"),)) if raw is not None else None
        if at is None:
            return b"", [], b""
        before = self._all_stopped() if told["eventtype"] == "interaction.completed" else b""
        return before, self._interaction.take(data, (at.start, at.end), raw, is_known=bool(self._steps)), b""

    def _released(self) -> bytes:
        held, self._held, self._holds = self._held, b"", False
        return held

    def _restorer(self, levels: int) -> Restorer | None:
        if not self._interaction.restores:
            return None
        return Restorer(self._interaction.looked_up, partial(json_escape, levels=levels))


def _is_known(kind: object) -> bool:
    return isinstance(kind, str) and kind.startswith(("step.", "interaction."))


def _delta(index: int, delta: dict[str, str]) -> bytes:
    told = {"event_type": "step.delta", "index": index, "delta": delta}
    return event(msgspec.json.encode(told), "step.delta")


def _without_calls(value: Any) -> None:
    """Raises FormatError for a tool call in an event of a kind that nobody here can judge."""
    below = [value]
    while below:
        here = below.pop()
        if isinstance(here, dict):
            if here.get("type") == CALL:
                raise FormatError("a tool call stands in an event of an unknown type")
            below += here.values()
        elif isinstance(here, list):
            below += here
