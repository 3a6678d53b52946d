"""Replies as generateContent."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.wire.format import Rendered
from replay.swap.losses import OWN_REASONING, PROVIDER_RUN, Losses, Taking
from replay.swap.neutral import Json
from replay.swap.replies.said import EVENT_STREAM, Manner, Said, encoded, input_counts, lost_finish, output_counts
from replay.swap.writing.values import as_object
from trajectory.conversation import Finish

_FINISH: dict[Finish, str] = {
    "end": "STOP",
    "tool_call": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "PROHIBITED_CONTENT",
    "error": "OTHER",
}


def render(said: Said, manner: Manner, losses: Losses) -> Rendered:
    lost_finish(said, losses)
    content = {"role": "model", "parts": list(_parts(said, losses))}
    candidate = {"content": content, "finishReason": _FINISH.get(said.finish, "OTHER"), "index": 0}
    whole: Json = {"candidates": [candidate], "modelVersion": said.model, "responseId": said.mark}
    if said.usage is not None:
        whole["usageMetadata"] = _usage(said)
    body = encoded(whole)
    if manner.streamed and manner.as_array:
        return Rendered(200, b"[" + body + b"]")
    return Rendered(200, b"data: " + body + b"\r\n\r\n", EVENT_STREAM) if manner.streamed else Rendered(200, body)


def _parts(said: Said, losses: Losses) -> Iterator[Json]:
    if said.text:
        yield {"text": said.text}
    for call in said.calls:
        yield {"functionCall": {"id": call.id, "name": call.name, "args": as_object(call.arguments, losses)}}


def _usage(said: Said) -> Json:
    """Here thoughts stand beside the other tokens of a reply, not among them."""
    (read, cached), (wrote, reasoned) = input_counts(said.usage), output_counts(said.usage)
    return {
        "promptTokenCount": read,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": max(0, wrote - reasoned),
        "thoughtsTokenCount": reasoned,
        "totalTokenCount": read + wrote,
    }


def unsaid(reply: Json, losses: Losses) -> None:
    """What of a candidate's reply has no place in another format."""
    whole = Taking(reply, "", losses, folds=True)
    whole.without("usageMetadata", "modelVersion", "responseId", "createTime", "modelStatus")
    whole.lose("text", "why a prompt was blocked is not carried", "promptFeedback")
    candidates = whole.take("candidates", list) or []
    whole.close("unknown")
    if len(candidates) > 1:
        losses.add("message", "candidates[]", "all but the first were left out")
    for raw in candidates[:1]:
        candidate = Taking(raw, "candidates[]", losses, folds=True)
        candidate.without("index", "finishReason", "finishMessage", "tokenCount", "avgLogprobs")
        candidate.lose("text", "probabilities were left out", "logprobsResult")
        what = "citations and ratings were left out"
        candidate.lose("text", what, "citationMetadata", "groundingMetadata", "urlContextMetadata", "safetyRatings")
        content = candidate.inner("content")
        candidate.close("unknown")
        if content is not None:
            _unsaid_parts(content, losses)


def _unsaid_parts(content: Taking, losses: Losses) -> None:
    listed = content.take("parts", list) or []
    content.without("role")
    content.close("unknown")
    for raw in listed:
        part = Taking(raw, "candidates[].content.parts[]", losses, folds=True)
        if part.take("thought", bool):
            losses.add("reasoning", "candidates[].content.parts[] of thought", OWN_REASONING)
            part.forget()
        part.lose("reasoning", OWN_REASONING, "thoughtSignature")
        part.without("text", "functionCall")
        part.lose("media", "what the model made beside text was left out", "inlineData", "fileData")
        part.close("tool", PROVIDER_RUN)
