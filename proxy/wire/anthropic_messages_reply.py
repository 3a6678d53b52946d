"""A whole Messages reply: read, judged and, where a rule asks for it, edited by span."""

from __future__ import annotations

import msgspec

from policies.verdict import Refuse
from proxy.wire.anthropic_messages_types import REPLY_KEYS, Block, MessageHead, finish_of, text_block
from proxy.wire.format import Lookup, ReplyJudge, ReplyRead, TurnCall, TurnCalls
from proxy.wire.restoring import span_edits
from proxy.wire.spans import Edit, apply_edits, elements, members, read_json, string_leaves
from trajectory.conversation import ToolCall
from trajectory.errors import FormatError

_head = msgspec.json.Decoder(MessageHead)
# Of a citation, only what a person reads: the rest says where it stands, some of it encrypted.
_CITED = frozenset({"cited_text", "title", "document_title"})


def read_reply(body: bytes, judge: ReplyJudge) -> ReplyRead:
    """Raises FormatError where the reply cannot be judged."""
    # what is judged must be what the client parses: no key twice
    value, texts = read_json(body)
    REPLY_KEYS.check(value, "the reply")
    message = _decoded(body)
    read = ReplyRead(message.reply(), body, texts, failed=message.type == "error")
    blocks = message.content or []
    refused = {
        index: verdict
        for index, block in enumerate(blocks)
        if isinstance(call := block.part(), ToolCall)
        and (verdict := judge.call(call.name, call.id, call.arguments)) is not None
    }
    restorer = _Restored(judge.lookup) if judge.lookup is not None and b"PII_" in body else None
    if not refused and restorer is None:
        return read
    client = apply_edits(body, _edits(body, message, refused, restorer))
    read.refused = tuple(refused.values())
    read.turn = _turn(body, blocks, refused) if refused else ()
    read.restored = restorer.count if restorer is not None else 0
    if client != body:
        read.client = client
        read.client_reply = _decoded(client).reply()
    return read


def _turn(body: bytes, blocks: list[Block], refused: dict[int, Refuse]) -> TurnCalls:
    content = members(body)["content"]
    spans = elements(body, content.start, content.end)
    return tuple(
        TurnCall(b.call_id, b.call_name(), refused[i].message, body[slice(*spans[i])])
        if i in refused
        else TurnCall(b.call_id, b.call_name())
        for i, b in enumerate(blocks)
        if b.is_call
    )


def _decoded(body: bytes) -> MessageHead:
    try:
        return _head.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise FormatError(f"the reply is not a message: {e}") from None


def _edits(body: bytes, message: MessageHead, refused: dict[int, Refuse], restorer: _Restored | None) -> list[Edit]:
    blocks = message.content
    if not blocks:
        return []
    top = members(body)
    edits: list[Edit] = []
    for index, (start, end) in enumerate(elements(body, top["content"].start, top["content"].end)):
        if index in refused:
            edits.append(Edit(start, end, text_block(refused[index].message)))
        elif restorer is not None:
            edits += restorer.edits(body, start, end, blocks[index])
    is_called = any(block.is_call and index not in refused for index, block in enumerate(blocks))
    if refused and not is_called and finish_of(message.stop_reason) == "tool_call":
        edits.append(Edit(top["stop_reason"].start, top["stop_reason"].end, b'"end_turn"'))
    return edits


class _Restored:
    """Puts values back in text, citations and the arguments of calls; never in thinking, which is signed, nor in what
    the provider ran itself.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self.count = 0

    def edits(self, body: bytes, start: int, end: int, block: Block) -> list[Edit]:
        is_text = block.type == "text"
        if not is_text and not block.is_call:
            return []
        found = members(body, start, end)
        said = found.get("text" if is_text else "input")
        edits = span_edits(body, said.start, said.end, self._value) if said is not None else []
        if is_text and "citations" in found:
            edits += citation_edits(body, found["citations"].start, found["citations"].end, self._value)
        return edits

    def _value(self, token: str) -> str | None:
        value = self._lookup(token)
        self.count += value is not None
        return value


def citation_edits(data: bytes, start: int, end: int, lookup: Lookup) -> list[Edit]:
    """What restores the quotations in a citation, or in a list of them, at `start` to `end`."""
    leaves = (leaf for leaf in string_leaves(data, start, end) if leaf.key in _CITED)
    return [edit for leaf in leaves for edit in span_edits(data, leaf.start, leaf.end, lookup)]
