"""A generateContent reply, whole or chunk by chunk: what the upstream says in it, and what of that the client gets.

1. A function call comes whole in one part, or (Vertex, streamFunctionCallArguments) as a named part and `partialArgs`
   after it, until a part that does not say `willContinue`. Only the first part of a call has its name.
2. A refused call becomes text in its own part: `"functionCall":{…}` is replaced by `"text":"…"`, and what stands
   beside it, a thought signature above all, stays. Parts that continue it become empty texts: places do not move.
3. Thoughts and what the provider ran itself pass as they are. STOP is also how a turn of calls ends: nothing to mend.
4. Of parallel calls only the first is signed, and the API refuses a turn whose first call is not. Where the signed
   one was refused, the first that is left gets the signature that the API documents for calls from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from policies.redaction.restore import Restorer
from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup, ReplyJudge, TurnCalls
from proxy.wire.gemini_call import GeminiCall
from proxy.wire.gemini_types import finish_of, usage_of
from proxy.wire.gemini_views import FROM_ELSEWHERE, turn_call
from proxy.wire.spans import Edit, Member, elements, members, quoted, read_value, span_at
from proxy.wire.spelling import Fields, fields_of
from trajectory.conversation import Finish, Reply, ToolCall
from trajectory.errors import FormatError

_MAX_CALLS = 1024
_CALL = "functioncall"
_SIGNATURE = "thoughtsignature"
_FROM_ELSEWHERE = f'"thoughtSignature":"{FROM_ELSEWHERE}",'.encode()

OwnPart = dict[str, object]
JudgeCall = Callable[[str, str, str | ArrivingArguments], Refuse | None]


@dataclass(slots=True)
class Change:
    """`before` are (candidate, part) pairs that go ahead of a chunk, `edits` concern its bytes."""

    before: list[tuple[int, OwnPart]] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)


class Answer:
    """One reply. Raises FormatError where it cannot be judged."""

    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self._candidates: dict[int, _Candidate] = {}
        self._finish: Finish | None = None
        self._usage: object = None
        self._model: str | None = None
        self._id: str | None = None
        self.failed = False
        self.refused: list[Refuse] = []
        self.restored = 0

    def take(self, data: bytes, *, is_last: bool = False) -> Change:
        """Judge a reply or one chunk of it; `is_last` says that no chunk will follow."""
        reply = fields_of(read_value(data), "a reply")
        self._note(reply)
        change = Change()
        candidates = reply.get("candidates") or []
        if not isinstance(candidates, list):
            raise FormatError("'candidates' must be an array")
        for place, raw in enumerate(candidates):
            candidate = fields_of(raw, "a candidate")
            finish = finish_of(candidate.get("finishreason"))
            self._finish = self._finish or finish
            index = candidate.get("index")
            state = self._state(index if isinstance(index, int) else place)
            content = candidate.get("content")
            inner = fields_of(content, "a content") if content is not None else Fields({}, {})
            parts = inner.get("parts") or []
            if not isinstance(parts, list):
                raise FormatError("'parts' must be an array")
            path: list[str | int] = []
            if parts:
                path = [reply.key("candidates"), place, candidate.key("content"), inner.key("parts")]
            state.take(_Parts(data, path, parts), change, ends=is_last or finish is not None)
        return change

    def flush(self) -> list[tuple[int, OwnPart]]:
        """Parts with all that is held: nothing more will come that could decide it."""
        change = Change()
        for state in self._candidates.values():
            state.flush(change)
        return change.before

    def identity(self) -> dict[str, object]:
        """What a chunk of our own has in common with the upstream's."""
        known = {"modelVersion": self._model, "responseId": self._id}
        return {key: value for key, value in known.items() if value is not None}

    @property
    def finish(self) -> Finish | None:
        return "error" if self.failed else self._finish

    def reply(self) -> Reply:
        """As the upstream gave it, refused calls included."""
        states = [self._candidates[i] for i in sorted(self._candidates)]
        calls = tuple(call.proposed() for state in states for call in state.calls)
        text = "\n".join(t for state in states if (t := "".join(state.said)))
        return Reply(text, calls, self._finish_with(calls), usage_of(self._usage), self._model, self._id)

    def client_reply(self) -> Reply:
        states = [self._candidates[i] for i in sorted(self._candidates)]
        calls = tuple(call.received() for state in states for call in state.calls if not call.refused)
        text = "\n".join(t for state in states if (t := "".join(piece.text for piece in state.shown)))
        return Reply(text, calls, self._finish_with(calls), usage_of(self._usage), self._model, self._id)

    def turn(self) -> TurnCalls:
        """The calls of all candidates: a client that goes on with one of several is known where only that has any."""
        return tuple(turn_call(call) for i in sorted(self._candidates) for call in self._candidates[i].calls)

    def _finish_with(self, calls: tuple[ToolCall, ...]) -> Finish | None:
        return "tool_call" if calls and self.finish == "end" else self.finish

    def _note(self, reply: Fields) -> None:
        if reply.get("error") is not None:
            self.failed = True
        feedback = reply.get("promptfeedback")
        if isinstance(feedback, dict) and "blockreason" in fields_of(feedback, "'promptFeedback'"):
            self._finish = "content_filter"
        if reply.get("usagemetadata") is not None:
            self._usage = reply["usagemetadata"]
        if isinstance(reply.get("modelversion"), str):
            self._model = reply["modelversion"]
        if isinstance(reply.get("responseid"), str):
            self._id = reply["responseid"]

    def _state(self, index: int) -> _Candidate:
        state = self._candidates.get(index)
        if state is None:
            lookup = self._looked_up if self._judge.lookup is not None else None
            state = self._candidates[index] = _Candidate(index, self._judged, lookup)
        return state

    def _judged(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        verdict = self._judge.call(name, call_id, arguments)
        if verdict is not None:
            self.refused.append(verdict)
        return verdict

    def _looked_up(self, token: str) -> str | None:
        value = self._judge.lookup(token) if self._judge.lookup is not None else None
        self.restored += value is not None
        return value


class _Parts:
    """The parts of one candidate in one chunk; where they stand is looked up only once it is asked for."""

    def __init__(self, data: bytes, path: list[str | int], parts: list[Any]) -> None:
        self.data = data
        self.fields = [fields_of(part, "a part") for part in parts]
        self._path = path
        self._spans: list[tuple[int, int]] | None = None

    def members(self, place: int) -> dict[str, Member]:
        return members(self.data, *self.span(place))

    def span(self, place: int) -> tuple[int, int]:
        if self._spans is None:
            at = span_at(self.data, self._path)
            if at is None:  # pragma: no cover - the decoder has just seen it
                raise FormatError("a part could not be found again")
            self._spans = elements(self.data, at.start, at.end)
        return self._spans[place]


@dataclass(slots=True)
class _Piece:
    """Text that the client gets: of the part at `place` of the chunk under way, or of our own."""

    text: str
    said: str = ""
    place: int = -1


class _Candidate:
    """`lookup` restores pseudonyms; None where there is nothing to restore."""

    def __init__(self, index: int, judge: JudgeCall, lookup: Lookup | None) -> None:
        self.said: list[str] = []
        self.shown: list[_Piece] = []
        self.calls: list[GeminiCall] = []
        self._index = index
        self._judge = judge
        self._lookup = lookup
        self._restorer = Restorer(lookup) if lookup is not None else None
        self._open: GeminiCall | None = None
        self._run: _Piece | None = None
        self._after_notice = False
        self._lost_signature = False

    def take(self, parts: _Parts, change: Change, *, ends: bool) -> None:
        texts: list[_Piece] = []
        for place, part in enumerate(parts.fields):
            if part.get(_CALL) is not None:
                self._break(change)
                self._call(parts, place, part, change)
            elif part.get("thought") is True:
                continue
            elif isinstance(part.get("text"), str):
                self._run = self._text(part["text"], place)
                texts.append(self._run)
            else:
                self._break(change)
        if ends:
            self.flush(change)
        self._run = None
        for piece in texts:
            if piece.text != piece.said:
                at = parts.members(piece.place)[parts.fields[piece.place].key("text")]
                change.edits.append(Edit(at.start, at.end, quoted(piece.text)))

    def flush(self, change: Change) -> None:
        self._break(change)
        if self._open is not None:
            self._open.close()
        held = self._open.flushed() if self._open is not None else []
        if held:
            change.before.append((self._index, {"functionCall": {"partialArgs": held, "willContinue": True}}))

    def _text(self, said: str, place: int) -> _Piece:
        self.said.append(said)
        out = said if self._restorer is None else self._restorer.feed(said)
        if out and self._after_notice:
            self._after_notice = False
            out = "\n\n" + out
        piece = _Piece(out, said, place)
        self.shown.append(piece)
        return piece

    def _break(self, change: Change) -> None:
        """The text so far is followed by something else: what was held of it is decided."""
        held = self._restorer.flush() if self._restorer is not None else ""
        if held and self._run is not None:
            self._run.text += held
        elif held:
            change.before.append((self._index, {"text": held}))
            self.shown.append(_Piece(held))
        self._run = None

    def _call(self, parts: _Parts, place: int, part: Fields, change: Change) -> None:
        if part.get("text") is not None:
            raise FormatError("a part holds both a text and a function call")
        call = fields_of(part[_CALL], "a function call")
        known = self._continued(call)
        notice = ""
        at = parts.members(place)[part.key(_CALL)]
        if known is None:
            if self._open is not None:
                self._open.close()
            known, notice = self._begun(call, parts.data, at)
        edits = known.take(parts.data, at, call, self._lookup)
        if known.refused:
            text = b'"text":' + quoted(notice)
            change.edits.append(Edit(at.key_start, at.end, text))
            self._lost_signature = self._lost_signature or part.get(_SIGNATURE) is not None
        else:
            change.edits += edits
            if self._lost_signature and part.get(_SIGNATURE) is None:
                start = parts.span(place)[0] + 1
                change.edits.append(Edit(start, start, _FROM_ELSEWHERE))
            self._lost_signature = False
        self._open = known if call.get("willcontinue") is True else None

    def _continued(self, call: Fields) -> GeminiCall | None:
        known, name = self._open, call.get("name")
        if known is None or name not in (None, "", known.name):
            return None
        return known if not name or call.get("partialargs") is not None else None

    def _begun(self, call: Fields, data: bytes, at: Member) -> tuple[GeminiCall, str]:
        """A new call, judged, and the notice in its place where it is refused."""
        name, call_id = call.get("name"), call.get("id")
        if len(self.calls) >= _MAX_CALLS:
            raise FormatError(f"more than {_MAX_CALLS} tool calls in one reply")
        known = GeminiCall(call_id if isinstance(call_id, str) else "", name if isinstance(name, str) else "")
        self.calls.append(known)
        comes_whole = call.get("willcontinue") is not True and call.get("partialargs") is None
        arguments = known.raw_arguments(data, at, call) if comes_whole else known.arriving
        verdict = self._judge(known.name, known.id, arguments)
        if verdict is None:
            return known, ""
        known.refused = True
        known.notice = verdict.message
        notice = ("\n\n" if any(piece.text for piece in self.shown) else "") + verdict.message
        self.shown.append(_Piece(notice))
        self._after_notice = True
        return known, notice
