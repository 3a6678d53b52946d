"""One choice of a streamed chat completion: what the upstream says in it, and what of that the client gets.

The text of a delta comes before its calls, as in a whole message. Held ends of texts and arguments are let out in
the frame that decides them, or in frames of their own ahead of the next thing that is said.
"""

from __future__ import annotations

from proxy.wire.format import Lookup, TurnCall
from proxy.wire.openai_chat_calls import JudgeCall, Passes, StreamedCalls
from proxy.wire.openai_chat_edits import Change, Delta, member_at
from proxy.wire.openai_chat_text import ChoiceText
from proxy.wire.openai_chat_types import ChunkChoice, Turn, finish_of
from proxy.wire.spans import Edit, members, span_at
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError

_NOTHING_ELSE = frozenset({"role", "content", "refusal", "tool_calls", "function_call"})


class StreamedChoice:
    """`lookup` restores pseudonyms; None where there is nothing to restore."""

    def __init__(self, judge: JudgeCall, passes: Passes, lookup: Lookup | None) -> None:
        self._text = ChoiceText(lookup)
        self._calls = StreamedCalls(judge, passes, lookup)

    @property
    def text(self) -> str:
        return self._text.said

    @property
    def shown_text(self) -> str:
        """The text that the client got: values restored, notices of refused calls in it."""
        return self._text.shown

    def calls(self) -> list[ToolCall]:
        return self._calls.told()

    def shown_calls(self) -> list[ToolCall]:
        return self._calls.shown()

    def turn(self) -> list[TurnCall]:
        return self._calls.turn()

    def take(self, chunk: bytes, place: int, choice: ChunkChoice) -> Change | None:
        """Judge the choice at `place` of `chunk`. None if it goes on as it is. Raises FormatError."""
        delta = choice.delta
        if choice.message is not None and choice.message.all_calls():
            raise FormatError("a whole message with tool calls stands in a stream")
        is_last = choice.finish_reason is not None
        change: Change | None = None
        if delta is not None:
            if delta.tool_calls or delta.function_call is not None:
                change = self._take_calls(chunk, place, delta, is_last=is_last)
            else:
                change = self._text.take(chunk, place, delta, is_last=is_last)
        return self._finish(chunk, place, choice, change or Change()) if is_last else change

    def flush(self) -> list[Delta]:
        """Deltas with all that is held: nothing more will come that could decide it."""
        return self._text.flush() + self._calls.flush()

    def _take_calls(self, chunk: bytes, place: int, delta: Turn, *, is_last: bool) -> Change:
        here = member_at(chunk, place, "delta")
        found = members(chunk, here.start, here.end)
        taken = self._calls.take(chunk, found, delta, is_last=is_last)
        change = self._text.take_all(chunk, here, found, delta, taken.notices, ends=True)
        is_left = bool(taken.left or change.edits or delta.text() or is_last or found.keys() - _NOTHING_ELSE)
        change.before += taken.change.before
        change.edits += taken.change.edits
        change.vanishes = not is_left
        return change

    def _finish(self, chunk: bytes, place: int, choice: ChunkChoice, change: Change) -> Change | None:
        self._calls.close()
        change.before += self.flush()
        if self._calls.are_all_refused and finish_of(choice.finish_reason) == "tool_call":
            at = span_at(chunk, ["choices", place, "finish_reason"])
            if at is not None:
                change.edits.append(Edit(at.start, at.end, b'"stop"'))
        return change if change.before or change.edits else None
