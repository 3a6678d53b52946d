"""Replies as Responses."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.wire.format import Rendered
from proxy.wire.openai_responses_events import empty_response, own_event, text_part
from replay.swap.losses import OWN_REASONING, PROVIDER_RUN, Losses, Taking
from replay.swap.neutral import Call, Json
from replay.swap.replies.said import EVENT_STREAM, Manner, Said, encoded, input_counts, lost_finish, output_counts

# What a response says of itself, or repeats of its request.
_ECHOED = (
    "background", "billing", "completed_at", "content_filters", "conversation", "created_at", "error",
    "frequency_penalty", "id", "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls",
    "metadata", "model", "moderation", "object", "output_text", "parallel_tool_calls", "presence_penalty",
    "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning",
    "safety_identifier", "service_tier", "status", "store", "temperature", "text", "tool_choice", "tool_usage",
    "tools", "top_logprobs", "top_p", "truncation", "usage", "user",
)  # fmt: skip
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def render(said: Said, manner: Manner, losses: Losses) -> Rendered:
    lost_finish(said, losses)
    items = list(_items(said))
    reason = _INCOMPLETE.get(said.finish)
    response = {
        **empty_response(said.model, status="incomplete" if reason else "completed"),
        "id": f"resp_{said.mark}",
        "output": items,
        "usage": _usage(said) if said.usage is not None else None,
    }
    if reason is not None:
        response["incomplete_details"] = {"reason": reason}
    if not manner.streamed:
        return Rendered(200, encoded(response))
    frames = (own_event(name, number, fields) for number, (name, fields) in enumerate(_events(response, items)))
    return Rendered(200, b"".join(frames), EVENT_STREAM)


def _items(said: Said) -> Iterator[Json]:
    if said.text or said.finish == "refusal":
        part: Json = text_part(said.text)
        if said.finish == "refusal":
            part = {"type": "refusal", "refusal": said.text or "The model declined to answer."}
        message = {"id": f"msg_{said.mark}", "type": "message", "role": "assistant"}
        yield {**message, "status": "completed", "content": [part]}
    for number, call in enumerate(said.calls):
        yield _call(call, f"{said.mark}_{number}")


def _call(call: Call, mark: str) -> Json:
    head = {"call_id": call.id, "name": call.name, "status": "completed"}
    if call.is_freeform:
        return {"id": f"ctc_{mark}", "type": "custom_tool_call", **head, "input": call.arguments}
    return {"id": f"fc_{mark}", "type": "function_call", **head, "arguments": call.arguments}


def _events(response: Json, items: list[Json]) -> Iterator[tuple[str, Json]]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(items):
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            part = item["content"][0]
            yield "response.output_item.added", _added(index, {**item, "content": []})
            yield from _text_events({**place, "content_index": 0}, part)
        else:
            key = "input" if item["type"] == "custom_tool_call" else "arguments"
            name = "custom_tool_call_input" if key == "input" else "function_call_arguments"
            named = {"name": item["name"]} if key == "arguments" else {}
            yield "response.output_item.added", _added(index, {**item, key: ""})
            yield f"response.{name}.delta", {**place, "delta": item[key]}
            yield f"response.{name}.done", {**place, **named, key: item[key]}
        yield "response.output_item.done", {"output_index": index, "item": item}
    yield f"response.{response['status']}", {"response": response}


def _added(index: int, item: Json) -> Json:
    return {"output_index": index, "item": {**item, "status": "in_progress"}}


def _text_events(place: Json, part: Json) -> Iterator[tuple[str, Json]]:
    is_text = part["type"] == "output_text"
    key = "text" if is_text else "refusal"
    name = "output_text" if is_text else "refusal"
    more: Json = {"logprobs": []} if is_text else {}
    yield "response.content_part.added", {**place, "part": {**part, key: ""}}
    yield f"response.{name}.delta", {**place, "delta": part[key], **more}
    yield f"response.{name}.done", {**place, key: part[key], **more}
    yield "response.content_part.done", {**place, "part": part}


def _usage(said: Said) -> Json:
    (read, cached), (wrote, reasoned) = input_counts(said.usage), output_counts(said.usage)
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": wrote,
        "output_tokens_details": {"reasoning_tokens": reasoned},
        "total_tokens": read + wrote,
    }


def unsaid(reply: Json, losses: Losses) -> None:
    """What of a candidate's reply has no place in another format."""
    whole = Taking(reply, "", losses)
    whole.without(*_ECHOED)
    output = whole.take("output", list) or []
    whole.close("unknown")
    for raw in output:
        item = Taking(raw, "output[]", losses)
        kind = item.take("type", str)
        if kind == "message":
            _unsaid_parts(item, losses)
            item.without("id", "status", "role", "phase")
        elif kind in ("function_call", "custom_tool_call"):
            item.without("id", "status", "call_id", "name", "namespace", "arguments", "input", "caller")
        elif kind == "reasoning":
            losses.add("reasoning", "output[] of type reasoning", OWN_REASONING)
            item.forget()
        else:
            losses.add("tool", f"output[] of type {kind}", PROVIDER_RUN)
            item.forget()
        item.close("unknown")


def _unsaid_parts(item: Taking, losses: Losses) -> None:
    for raw in item.take("content", list) or ():
        part = Taking(raw, "output[].content[]", losses)
        part.without("type", "text", "refusal")
        part.lose("text", "citations and probabilities were left out", "annotations", "logprobs")
        part.close("unknown")
