"""Replies as chat completions."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.wire.format import Rendered
from replay.swap.losses import OWN_REASONING, PROVIDER_RUN, Losses, Taking
from replay.swap.neutral import Call, Json
from replay.swap.replies.said import EVENT_STREAM, Manner, Said, encoded, input_counts, lost_finish, output_counts
from trajectory.conversation import Finish

_FINISH: dict[Finish, str] = {
    "end": "stop",
    "tool_call": "tool_calls",
    "length": "length",
    "content_filter": "content_filter",
    "refusal": "stop",
}


def render(said: Said, manner: Manner, losses: Losses) -> Rendered:
    lost_finish(said, losses)
    head: Json = {"id": f"chatcmpl-{said.mark}", "created": 0, "model": said.model}
    finish = _FINISH.get(said.finish, "stop")
    if manner.streamed:
        chunks = (b"data: " + encoded(chunk) + b"\n\n" for chunk in _chunks(said, head, finish, manner))
        return Rendered(200, b"".join(chunks) + b"data: [DONE]\n\n", EVENT_STREAM)
    message: Json = {"role": "assistant", **_text(said)}
    if said.calls:
        message["tool_calls"] = [_call(call, call.arguments) for call in said.calls]
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    whole = {**head, "object": "chat.completion", "choices": [choice]}
    if said.usage is not None:
        whole["usage"] = _usage(said)
    return Rendered(200, encoded(whole))


def _text(said: Said) -> Json:
    if said.finish == "refusal":
        return {"content": None, "refusal": said.text or "The model declined to answer."}
    return {"content": said.text or (None if said.calls else ""), "refusal": None}


def _call(call: Call, arguments: str) -> Json:
    if call.is_freeform:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _chunks(said: Said, head: Json, finish: str, manner: Manner) -> Iterator[Json]:
    def chunk(delta: Json, reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {**head, "object": "chat.completion.chunk", "choices": [choice]}

    text = {key: value for key, value in _text(said).items() if value}
    yield chunk({"role": "assistant", "content": "" if not said.calls else None})
    if text:
        yield chunk(text)
    for index, call in enumerate(said.calls):
        yield chunk({"tool_calls": [{"index": index, **_call(call, "")}]})
        piece = {"input": call.arguments} if call.is_freeform else {"arguments": call.arguments}
        yield chunk({"tool_calls": [{"index": index, "custom" if call.is_freeform else "function": piece}]})
    yield chunk({}, finish)
    if manner.includes_usage:
        yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(said)}


def _usage(said: Said) -> Json:
    (read, cached), (wrote, reasoned) = input_counts(said.usage), output_counts(said.usage)
    return {
        "prompt_tokens": read,
        "completion_tokens": wrote,
        "total_tokens": read + wrote,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }


def unsaid(reply: Json, losses: Losses) -> None:
    """What of a candidate's reply has no place in another format."""
    whole = Taking(reply, "", losses)
    whole.without("id", "object", "created", "model", "usage", "system_fingerprint", "service_tier")
    choices = whole.take("choices", list) or []
    whole.close("unknown")
    if len(choices) > 1:
        losses.add("message", "choices[]", "all but the first were left out")
    for raw in choices[:1]:
        choice = Taking(raw, "choices[]", losses)
        choice.without("index", "finish_reason", "matched_stop", "stop_reason")
        choice.lose("text", "probabilities were left out", "logprobs")
        message = choice.inner("message")
        choice.close("unknown")
        if message is None:
            continue
        message.without("role", "content", "refusal", "tool_calls", "function_call")
        message.lose("reasoning", OWN_REASONING, "reasoning_content", "reasoning", "reasoning_details")
        message.lose("text", "citations were left out", "annotations")
        message.lose("tool", PROVIDER_RUN, "executed_tools")
        message.close("unknown")
