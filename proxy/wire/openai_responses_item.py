"""One item of a streamed response: what has come of it, and what of its texts is held back."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from policies.redaction.restore import Restorer, json_escape
from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup
from proxy.wire.openai_responses_events import notice, text_part
from proxy.wire.openai_responses_reply import restored_item
from proxy.wire.openai_responses_types import Event, Item
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError


class TextKind(Struct, frozen=True):
    """A text that comes in pieces: `name` is the stem of its events' types, `whole` the field of its last one.

    `levels` is how deep in JSON its values stand: 1 for arguments, which are JSON themselves.
    """

    name: str
    whole: str
    of_call: bool = False
    levels: int = 0

    @property
    def is_arguments(self) -> bool:
        """It is all that its call is called with; of built-in tools only the whole item says that."""
        return self.whole in ("arguments", "input")


_KINDS = {
    kind.name: kind
    for kind in (
        TextKind("response.output_text", "text"),
        TextKind("response.refusal", "refusal"),
        TextKind("response.function_call_arguments", "arguments", of_call=True, levels=1),
        TextKind("response.custom_tool_call_input", "input", of_call=True),
        TextKind("response.shell_call_command", "command", of_call=True),
        TextKind("response.apply_patch_call_operation_diff", "diff", of_call=True),
    )
}

_IN_PIECES = ("function_call", "custom_tool_call")
_EVENTS = {f"{kind.name}.{tail}": (kind, tail) for kind in _KINDS.values() for tail in ("added", "delta", "done")}


def text_kind(event_type: object) -> tuple[TextKind | None, str]:
    """The kind of text that events of this type bring, if one is read here, and the last word of the type."""
    if not isinstance(event_type, str):
        return None, ""
    known = _EVENTS.get(event_type)
    return known if known is not None else (None, event_type.rpartition(".")[2])


@dataclass(slots=True)
class StreamedText:
    """A text as it arrives; `where` are the fields by which its events say which text they belong to."""

    kind: TextKind
    where: dict[str, object]
    restorer: Restorer | None
    pieces: list[str] = field(default_factory=list)

    def take(self, piece: str) -> str:
        """What of it the client may have now."""
        self.pieces.append(piece)
        return piece if self.restorer is None else self.restorer.feed(piece)


@dataclass(slots=True)
class StreamedItem:
    index: object
    raw: Item
    call: ToolCall | None
    refused: Refuse | None = None
    is_done: bool = False
    texts: dict[tuple[str, object], StreamedText] = field(default_factory=dict)
    arguments: ArrivingArguments = field(default_factory=ArrivingArguments)

    def begin(self) -> None:
        """It was added. Arguments that stand in it from the start come before those that follow in pieces."""
        if self.call is not None and self.call.arguments and self.raw.get("type") in _IN_PIECES:
            self.arguments.add(self.call.arguments)

    def end(self) -> None:
        """It is done, and says once more what it was."""
        self.is_done = True
        if self.call is not None:
            self.arguments.told_again(self.call.arguments)
        self.arguments.close()

    def meet(self, raw: Item, call: ToolCall | None, *, is_done: bool) -> None:
        """The item comes again. Raises FormatError if it is another call than it was."""
        if (call and call.name) != (self.call and self.call.name):
            raise FormatError("a tool call changed its name while it was streamed")
        if call is not None and (self.is_done or not is_done) and call != self.call:
            raise FormatError("a tool call began twice, or ended twice")
        self.raw, self.call = raw, call

    def text(self, kind: TextKind, part: object, said: Event, lookup: Lookup | None) -> StreamedText:
        key = (kind.name, part)
        known = self.texts.get(key)
        if known is None:
            where = {
                "item_id": said.item_id,
                "output_index": said.output_index,
                "content_index": said.content_index,
                "command_index": said.command_index,
            }
            restorer = None
            if lookup is not None:
                restorer = Restorer(lookup, lambda value: json_escape(value, kind.levels))
            given = {name: value for name, value in where.items() if value is not None}
            known = self.texts[key] = StreamedText(kind, given, restorer)
        return known

    def held(self, part: object = None, kind: TextKind | None = None) -> list[tuple[str, dict[str, object]]]:
        """Types and fields of the events that let out what was held of it."""
        events: list[tuple[str, dict[str, object]]] = []
        for text in self.texts.values():
            concerns = part is None or part in (text.where.get("content_index"), text.where.get("command_index"))
            if not concerns or (kind is not None and kind is not text.kind) or text.restorer is None:
                continue
            rest = text.restorer.flush()
            if rest:
                extra: dict[str, object] = {"logprobs": []} if text.kind.name == "response.output_text" else {}
                events.append((f"{text.kind.name}.delta", {**text.where, "delta": rest, **extra}))
        return events

    def whole(self) -> Item:
        """The item as the upstream gave it, put together from its pieces while its end has not come."""
        if self.is_done or not self.texts:
            return self.raw
        texts = [(text.kind, "".join(text.pieces)) for text in self.texts.values()]
        if self.call is None:
            parts = [
                {"type": "refusal", "refusal": said} if kind.whole == "refusal" else text_part(said)
                for kind, said in texts
            ]
            return {**self.raw, "type": "message", "content": parts}
        key = "input" if self.raw.get("type") == "custom_tool_call" else "arguments"
        if texts[0][0].whole in ("command", "diff"):
            key = "operation" if texts[0][0].whole == "diff" else "action"
        return {**self.raw, key: "\n".join(said for _, said in texts)}

    def shown(self, lookup: Lookup | None) -> Item:
        """The item as the client has it."""
        if self.refused is not None:
            return notice(self.raw, self.refused.message)
        return self.whole() if lookup is None else restored_item(self.whole(), lookup)
