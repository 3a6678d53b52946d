"""Replies of Bedrock's Converse: a JSON body, or frames of an event stream. Judged, and never edited.

1. A frame goes on byte for byte, or the stream ends there with an exception of its own.
2. A refused call, and a pseudonym that would have to be restored, end it: neither can be changed in place.
3. `messageStop` and all after it is the last part: it waits until the step is recorded.
"""

from __future__ import annotations

from typing import Any

from policies.redaction.restore import Restorer
from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.counts import count
from proxy.wire.eventstream import Frame, FrameReader, encoded
from proxy.wire.format import RefusedReplyError, ReplyJudge, ReplyRead, StreamStep, TurnCalls
from proxy.wire.spans import Texts, json_text, read_json
from trajectory.conversation import Finish, Reply, ToolCall, Usage
from trajectory.errors import FormatError

_FINISH: dict[str, Finish] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tool_call",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
_NOT_RESTORED = (
    "The reply holds a pseudonym of this session, and replies of this API are not edited, so it cannot be put back."
)


def read_converse(body: bytes, judge: ReplyJudge) -> ReplyRead:
    """Raises FormatError where the reply cannot be judged, RefusedReplyError where it may not pass."""
    value, texts = read_json(body)
    if not isinstance(value, dict):
        raise FormatError("the reply is not a JSON object")
    blocks = _object(_object(value.get("output")).get("message")).get("content")
    if blocks is not None and not isinstance(blocks, list):
        raise FormatError("'content' must be an array")
    calls = [call for block in blocks or () for call in _call(block)]
    for call in calls:
        refused = judge.call(call.name, call.id, call.arguments)
        if refused is not None:
            raise RefusedReplyError(refused)
    check_restored(texts, judge)
    text = "".join(block["text"] for block in blocks or () if isinstance(_object(block).get("text"), str))
    reply = Reply(text, tuple(calls), _finish(value.get("stopReason")), usage_of(value.get("usage")))
    return ReplyRead(reply, body, texts)


def check_restored(texts: Texts, judge: ReplyJudge) -> None:
    """Raises RefusedReplyError where a value would have to be put back."""
    if judge.lookup is not None:
        for _, text in texts:
            restorer = Restorer(judge.lookup)
            if restorer.feed(text) + restorer.flush() != text:
                raise RefusedReplyError(_unrestored())


def _unrestored() -> Refuse:
    return Refuse("sensitive_data_refused", "redaction", _NOT_RESTORED)


def exception_frame(message: str, kind: str = "validationException") -> bytes:
    headers = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    return encoded(headers, json_text({"message": message}).encode())


class ConverseStream:
    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self._frames = FrameReader()
        self._text: list[str] = []
        self._blocks: dict[int, tuple[ToolCall, ArrivingArguments]] = {}
        self._restorers: dict[int, Restorer] = {}
        self._tokens = 0
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._stopped: list[bytes] = []
        self.edited = False
        self.refused: list[Refuse] = []
        self.restored = 0
        self.ended = False
        self.failed = False

    def feed(self, part: bytes) -> StreamStep:
        if self.refused:
            return StreamStep()  # its client has had the end
        send: list[bytes] = []
        for frame in self._frames.feed(part):
            refused = self._read(frame)
            if refused is not None:
                self.refused.append(refused)
                # cut off here, by us: the upstream has neither ended it nor told of an error
                self.edited, self._finish, self._stopped = True, None, []
                return StreamStep(send=b"".join(send), last=exception_frame(refused.message))
            (self._stopped if self._finish is not None else send).append(frame.raw)
        last = b"".join(self._stopped) if self.ended else b""
        if self.ended:
            self._stopped = []
        return StreamStep(b"".join(send), last)

    def end(self) -> StreamStep:
        held, self._stopped = self._stopped, []
        # a frame without its end is read by no client, and was judged by nobody
        self.edited = bool(self._frames.rest()) or self.edited
        return StreamStep(last=b"".join(held))

    def reply(self) -> Reply:
        calls = tuple(
            ToolCall(call.id, call.name, arguments.text) for _, (call, arguments) in sorted(self._blocks.items())
        )
        return Reply("".join(self._text), calls, "error" if self.failed else self._finish, self._usage)

    def client_reply(self) -> Reply:
        return self.reply()

    def turn(self) -> TurnCalls:
        return ()

    def _read(self, frame: Frame) -> Refuse | None:
        if frame.is_exception:
            self.failed = True
            return None
        payload = read_json(frame.payload)[0] if frame.payload else {}
        if not isinstance(payload, dict):
            raise FormatError("an event of the stream is not a JSON object")
        index = payload.get("contentBlockIndex")
        place = index if isinstance(index, int) else 0
        match frame.headers.get(":event-type"):
            case "contentBlockStart":
                return self._start(place, _object(payload.get("start")))
            case "contentBlockDelta":
                return self._delta(place, _object(payload.get("delta")))
            case "contentBlockStop":
                self._close(place)
            case "messageStop":
                self._close(*self._blocks)
                self._finish = _finish(payload.get("stopReason")) or "end"
            case "metadata":
                self._usage = usage_of(payload.get("usage"))
                self.ended = True
        return None

    def _close(self, *places: int) -> None:
        for place in places:
            if place in self._blocks:
                self._blocks[place][1].close()

    def _start(self, place: int, start: dict[str, Any]) -> Refuse | None:
        if "toolUse" not in start:
            return None
        use = _object(start["toolUse"])
        return self._proposed(place, ToolCall(_text(use.get("toolUseId")), _text(use.get("name")), ""))

    def _proposed(self, place: int, call: ToolCall) -> Refuse | None:
        if place in self._blocks:
            raise FormatError("a block of the stream begins twice")
        arguments = ArrivingArguments()
        self._blocks[place] = (call, arguments)
        return self._judge.call(call.name, call.id, arguments)

    def _delta(self, place: int, delta: dict[str, Any]) -> Refuse | None:
        text = delta.get("text")
        if isinstance(text, str):
            self._text.append(text)
        if "toolUse" in delta:
            if place not in self._blocks:  # a call that never said its name
                refused = self._proposed(place, ToolCall("", "", ""))
                if refused is not None:
                    return refused
            text = _object(delta["toolUse"]).get("input")
            self._blocks[place][1].add(_text(text))
        return self._unrestored(place, _text(text))

    def _unrestored(self, place: int, piece: str) -> Refuse | None:
        if self._judge.lookup is None or not piece:
            return None
        self._restorers.setdefault(place, Restorer(self._seen)).feed(piece)
        return _unrestored() if self._tokens else None

    def _seen(self, token: str) -> None:
        if self._judge.lookup is not None and self._judge.lookup(token) is not None:
            self._tokens += 1


def usage_of(raw: object) -> Usage | None:
    """Bedrock counts cached tokens beside the input's."""
    if not isinstance(raw, dict):
        return None
    read, written = count(raw.get("cacheReadInputTokens")), count(raw.get("cacheWriteInputTokens"))
    fresh = count(raw.get("inputTokens"))
    total = None if fresh is None else fresh + (read or 0) + (written or 0)
    return Usage(total, count(raw.get("outputTokens")), cache_read_tokens=read, cache_write_tokens=written)


def _call(block: object) -> list[ToolCall]:
    use = _object(block).get("toolUse")
    if use is None:
        return []
    if not isinstance(use, dict):
        raise FormatError("'toolUse' must be an object")
    arguments = json_text(use.get("input"))
    return [ToolCall(_text(use.get("toolUseId")), _text(use.get("name")), arguments)]


def _finish(reason: object) -> Finish | None:
    return _FINISH.get(reason, "end") if isinstance(reason, str) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
