"""The parts of Messages requests, replies and events that are read; all else passes by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.wire.case import ReplyKeys
from proxy.wire.counts import count
from trajectory.conversation import Finish, Opaque, Part, Reply, Text, ToolCall, ToolResult, Usage
from trajectory.errors import FormatError

_NOTHING = msgspec.Raw(b"")
# Calls that the provider has already run when they are seen: only the request can be kept from offering them.
_PROVIDER_RUN = frozenset({"server_tool_use", "mcp_tool_use"})
REPLY_KEYS = ReplyKeys("message", "content", "content_block", "delta", "name", "input", "partial_json")

_FINISH: dict[str, Finish] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "refusal",
    "pause_turn": "pause",
}


def finish_of(reason: object) -> Finish | None:
    """The neutral finish; an unknown reason (compaction) counts as an ordinary end."""
    return _FINISH.get(reason, "end") if isinstance(reason, str) else None


def usage_of(raw: Any) -> Usage | None:
    """Anthropic's `input_tokens` leave cached tokens out; the neutral ones include them."""
    if not isinstance(raw, dict):
        return None
    fresh = count(raw.get("input_tokens"))
    read = count(raw.get("cache_read_input_tokens"))
    written = count(raw.get("cache_creation_input_tokens"))
    details = raw.get("output_tokens_details")
    return Usage(
        input_tokens=fresh + (read or 0) + (written or 0) if fresh is not None else None,
        output_tokens=count(raw.get("output_tokens")),
        cache_read_tokens=read,
        reasoning_tokens=count(details.get("thinking_tokens")) if isinstance(details, dict) else None,
        cache_write_tokens=written,
    )


def is_call(kind: object) -> bool:
    """Whether a block of this type is a call that the client is to run; of a type that is not known, too."""
    return isinstance(kind, str) and kind.endswith("tool_use") and kind not in _PROVIDER_RUN


class Block(msgspec.Struct):
    """A content block of a message, in a request or a reply."""

    type: Any = None
    text: Any = None
    id: Any = None
    name: Any = None
    toolset_name: Any = None
    input: msgspec.Raw = _NOTHING
    tool_use_id: Any = None
    content: Any = None
    is_error: Any = None
    to: Any = None

    @property
    def is_call(self) -> bool:
        return is_call(self.type)

    def call_name(self) -> str:
        if not isinstance(self.name, str) or not self.name:
            raise FormatError("a tool call has no name")
        # a member of a toolset is another tool than one of the client's own with that name
        family = self.toolset_name
        return f"{family}.{self.name}" if isinstance(family, str) and family else self.name

    @property
    def next_model(self) -> str | None:
        """Of a fallback: the model that answers from here on."""
        model = self.to.get("model") if self.type == "fallback" and isinstance(self.to, dict) else None
        return model if isinstance(model, str) else None

    @property
    def call_id(self) -> str:
        return self.id if isinstance(self.id, str) else ""

    def part(self) -> Part:
        if self.type == "text" and isinstance(self.text, str):
            return Text(self.text)
        if self.is_call:
            return ToolCall(self.call_id, self.call_name(), bytes(self.input).decode() or "{}")
        if self.type == "tool_result":
            return ToolResult(str(self.tool_use_id or ""), _text_of(self.content), self.is_error is True)
        return Opaque(str(self.type))


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = (block.get("text") for block in blocks if isinstance(block, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts with texts that follow one another as one: citations cut a sentence into many blocks."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and not part.text:
            continue
        last = out[-1] if out else None
        if isinstance(part, Text) and isinstance(last, Text):
            out[-1] = Text(last.text + part.text)
        else:
            out.append(part)
    return tuple(out)


class MessageHead(msgspec.Struct):
    """A whole message, or the one that a stream begins with."""

    type: Any = None
    id: Any = None
    model: Any = None
    content: list[Block] | None = None
    stop_reason: Any = None
    usage: Any = None

    def reply(self) -> Reply:
        finish = "error" if self.type == "error" else finish_of(self.stop_reason)
        blocks = self.content or ()
        return reply_of((b.part() for b in blocks), finish, usage_of(self.usage), self.model, self.id)


def reply_of(parts: Iterable[Part], finish: Finish | None, usage: Usage | None, model: object, id_: object) -> Reply:
    said = joined(parts)
    return Reply(
        text="\n".join(p.text for p in said if isinstance(p, Text)),
        calls=tuple(p for p in said if isinstance(p, ToolCall)),
        finish=finish,
        usage=usage,
        model=model if isinstance(model, str) else None,
        id=id_ if isinstance(id_, str) else None,
    )


class Delta(msgspec.Struct):
    type: Any = None
    text: Any = None
    partial_json: Any = None
    stop_reason: Any = None


class Event(msgspec.Struct):
    type: Any = None
    index: Any = None
    message: MessageHead | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Any = None


class AnyEvent(msgspec.Struct):
    type: Any = None


def text_block(text: str) -> bytes:
    return msgspec.json.encode({"type": "text", "text": text})
