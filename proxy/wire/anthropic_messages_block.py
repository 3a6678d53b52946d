"""One content block of a streamed message: what the upstream says in it, and what of that the client gets."""

from __future__ import annotations

from functools import partial

from policies.redaction.restore import Restorer, json_escape
from proxy.wire.anthropic_messages_types import Block, Delta
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup, TurnCall
from proxy.wire.put_back import with_arguments
from trajectory.conversation import Opaque, Part, Text, ToolCall


class StreamedBlock:
    """`lookup` restores pseudonyms; None where there is nothing to restore."""

    def __init__(self, index: int, raw: Block, lookup: Lookup | None) -> None:
        self.index = index
        self.is_call = raw.is_call
        self.is_refused = False
        self._raw = raw
        self._is_text = raw.type == "text"
        self._restorer = _restorer(raw, lookup)
        self._said: list[str] = []
        self._shown: list[str] = []
        self._shown_input: str | None = None
        self._begun = b""
        self.arguments = ArrivingArguments()
        if self._is_text and isinstance(raw.text, str) and raw.text:
            self._said.append(raw.text)
            self._shown.append(raw.text)

    def refuse(self, notice: str, begun: bytes) -> None:
        """`begun` is the call as the upstream's event has it."""
        self.is_refused = True
        self._begun = begun
        self._restorer = None
        self._shown = [notice]

    def take_start(self) -> str | None:
        """The text that the block began with, as the client gets it; None if that is unchanged."""
        if self._restorer is None or not self._said:
            return None
        text = self._said[0]
        self._shown[0] = self._restorer.feed(text)
        return self._shown[0] if self._shown[0] != text else None

    def show_input(self, text: str) -> None:
        """The arguments that the call began with, as the client gets them."""
        self._shown_input = text

    def take(self, delta: Delta) -> str | None:
        """What the client gets of a text or of arguments; None if that is unchanged, or nothing that is read."""
        text = self._text_of(delta)
        if not text:
            return None
        if self.is_call:
            self.arguments.add(text)
        else:
            self._said.append(text)
        if self.is_refused:
            return None
        out = text if self._restorer is None else self._restorer.feed(text)
        self._shown.append(out)
        return out if out != text else None

    def flush(self) -> dict[str, str] | None:
        """A delta with all that is held: nothing more will come that could decide it."""
        held = self._restorer.flush() if self._restorer is not None else ""
        if not held:
            return None
        self._shown.append(held)
        if self._is_text:
            return {"type": "text_delta", "text": held}
        return {"type": "input_json_delta", "partial_json": held}

    def close(self) -> None:
        """Nothing more will come of it. Arguments may stand in its beginning, or come in pieces, or both."""
        begun = bytes(self._raw.input).decode()
        if self.is_call and (begun.strip("{} \t\r\n") or not self.arguments.text):
            self.arguments.told_again(begun)
        self.arguments.close()

    def turn_call(self) -> TurnCall:
        notice = "".join(self._shown) if self.is_refused else None
        raw = with_arguments(self._begun, "input", self.arguments.text) if self.is_refused else b""
        return TurnCall(self._raw.call_id, self._raw.call_name(), notice, raw)

    def part(self) -> Part:
        return self._part([self.arguments.text] if self.is_call else self._said, None)

    def shown_part(self) -> Part:
        return Text("".join(self._shown)) if self.is_refused else self._part(self._shown, self._shown_input)

    def _part(self, pieces: list[str], given: str | None) -> Part:
        if self._is_text:
            return Text("".join(pieces))
        if self.is_call:
            begun = given if given is not None else bytes(self._raw.input).decode()
            return ToolCall(self._raw.call_id, self._raw.call_name(), "".join(pieces) or begun or "{}")
        return Opaque(str(self._raw.type))

    def _text_of(self, delta: Delta) -> str:
        if self._is_text and delta.type == "text_delta" and isinstance(delta.text, str):
            return delta.text
        if self.is_call and delta.type == "input_json_delta" and isinstance(delta.partial_json, str):
            return delta.partial_json
        return ""


def _restorer(raw: Block, lookup: Lookup | None) -> Restorer | None:
    if lookup is None:
        return None
    if raw.type == "text":
        return Restorer(lookup)
    return Restorer(lookup, partial(json_escape, levels=1)) if raw.is_call else None
