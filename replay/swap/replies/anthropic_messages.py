"""Replies as Messages."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.wire.format import Rendered
from proxy.wire.sse import event
from replay.swap.losses import OWN_REASONING, PROVIDER_RUN, Losses, Taking
from replay.swap.neutral import Json
from replay.swap.replies.said import (
    EVENT_STREAM,
    Manner,
    Said,
    encoded,
    input_counts,
    lost_finish,
    output_counts,
    uncounted,
)
from replay.swap.writing.values import as_object
from trajectory.conversation import Finish

_STOP: dict[Finish, str] = {
    "end": "end_turn",
    "tool_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
}


def render(said: Said, manner: Manner, losses: Losses) -> Rendered:
    lost_finish(said, losses)
    uncounted(said, losses)
    head: Json = {"id": f"msg_{said.mark}", "type": "message", "role": "assistant", "model": said.model}
    end: Json = {"stop_reason": _STOP.get(said.finish, "end_turn"), "stop_sequence": None}
    content = list(_content(said, losses))
    if manner.streamed:
        events = _events(head, content, end, _usage(said))
        return Rendered(200, b"".join(event(encoded(one), str(one["type"])) for one in events), EVENT_STREAM)
    return Rendered(200, encoded({**head, "content": content, **end, "usage": _usage(said)}))


def _content(said: Said, losses: Losses) -> Iterator[Json]:
    if said.text:
        yield {"type": "text", "text": said.text}
    for call in said.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": as_object(call.arguments, losses)}


def _events(head: Json, content: list[Json], end: Json, usage: Json) -> Iterator[Json]:
    begun = {**usage, "output_tokens": 0}
    nothing: Json = {"content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**head, **nothing, "usage": begun}}
    for index, block in enumerate(content):
        place = {"index": index}
        if block["type"] == "text":
            first, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            first = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": encoded(block["input"]).decode()}
        yield {"type": "content_block_start", **place, "content_block": first}
        yield {"type": "content_block_delta", **place, "delta": delta}
        yield {"type": "content_block_stop", **place}
    yield {"type": "message_delta", "delta": end, "usage": usage}
    yield {"type": "message_stop"}


def _usage(said: Said) -> Json:
    """Here cached tokens stand beside the others, not among them."""
    (read, cached), (wrote, _) = input_counts(said.usage), output_counts(said.usage)
    return {
        "input_tokens": max(0, read - cached),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": wrote,
    }


def unsaid(reply: Json, losses: Losses) -> None:
    """What of a candidate's reply has no place in another format."""
    whole = Taking(reply, "", losses)
    whole.without("id", "type", "role", "model", "stop_reason", "stop_sequence", "usage")
    content = whole.take("content", list) or []
    whole.lose("text", "details of a refusal were left out", "stop_details")
    whole.close("unknown")
    for raw in content:
        block = Taking(raw, "content[]", losses)
        kind = block.take("type", str)
        if kind == "text":
            block.without("text")
            block.lose("text", "citations were left out", "citations")
        elif kind == "tool_use":
            block.without("id", "name", "input", "caller")
        elif kind in ("thinking", "redacted_thinking"):
            losses.add("reasoning", f"content[] of type {kind}", OWN_REASONING)
            block.forget()
        else:
            losses.add("tool", f"content[] of type {kind}", PROVIDER_RUN)
            block.forget()
        block.close("unknown")
