"""One model turn in the words of each wire format, whole and streamed, as its vendor writes them.

Streams cut text and arguments into pieces of sixteen characters; a dialect whose vendor sends calls whole does so here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support import anthropic_events as a
from tests.support import chat_stream as c
from tests.support import responses as r
from tests.support.driving import completion
from tests.support.scripted_model import Answer

EVENTS = "text/event-stream; charset=utf-8"
_SLOW_DOWN = "slow down"


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Says:
    """What a model says in one turn. `key` makes its ids its own; a thought is signed, where a format has thoughts."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thought: str = ""
    key: str = "0"

    def ids(self) -> list[tuple[str, Call]]:
        return [(f"call_{self.key}_{place}", call) for place, call in enumerate(self.calls)]


@dataclass(frozen=True)
class Dialect:
    """`path` is what a client appends to its base URL; `limited` is a 429 in the format's own shape.

    `refused` is the status with which ironcage refuses; `ends` are the finish reasons of a turn without and with calls.
    """

    whole: Callable[[Says], bytes]
    stream: Callable[[Says], bytes]
    limited: dict[str, Any]
    path: str = "/v1"
    refused: int = 400
    ends: tuple[str, str] = ("stop", "tool_calls")

    def answer(self, said: Says, *, streamed: bool) -> Answer:
        """Streams come in pieces that are no events."""
        return Answer(self.stream(said), EVENTS, parts=50) if streamed else Answer(self.whole(said))

    def slow_down(self) -> Answer:
        return Answer(json.dumps(self.limited).encode(), status=429, headers=(("retry-after-ms", "1"),))


def pieces(text: str) -> list[str]:
    return [text[at : at + 16] for at in range(0, len(text), 16)]


# OpenAI chat completions, and Mistral's, which sends calls whole

_CHAT_USAGE = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}


def _chat(said: Says) -> bytes:
    calls = tuple((i, call.name, json.dumps(call.arguments)) for i, call in said.ids())
    return completion(said.text or None, calls, created=7, usage=_CHAT_USAGE)


def _chat_stream(said: Says, *, whole_calls: bool = False) -> bytes:
    told = [c.chunk({"role": "assistant", "content": ""}), *(c.chunk({"content": p}) for p in pieces(said.text))]
    for place, (call_id, call) in enumerate(said.ids()):
        arguments = json.dumps(call.arguments)
        first = arguments if whole_calls else ""
        told.append(c.calling(c.call(place, call.name, first, call_id)))
        if not whole_calls:
            told += [c.calling(c.call(place, arguments=piece)) for piece in pieces(arguments)]
    told.append(c.chunk({"content": ""}, "tool_calls" if said.calls else "stop", usage=_CHAT_USAGE))
    return b"".join(told) + c.DONE


# OpenAI Responses


def _items(said: Says) -> list[r.Item]:
    text = [r.message(said.text)] if said.text else []
    return text + [r.function(call.name, json.dumps(call.arguments), id=f"fc_{i}", call_id=i) for i, call in said.ids()]


# Anthropic Messages


def _messages(said: Says) -> bytes:
    thought = {"type": "thinking", "thinking": said.thought, "signature": "EqQB"}
    blocks: list[dict[str, Any]] = [thought] if said.thought else []
    blocks += [{"type": "text", "text": said.text}] if said.text else []
    blocks += [{"type": "tool_use", "id": i, "name": call.name, "input": call.arguments} for i, call in said.ids()]
    message = {"id": f"msg_{said.key}", "type": "message", "role": "assistant", "model": "m-1", "content": blocks}
    stop = {"stop_reason": "tool_use" if said.calls else "end_turn", "stop_sequence": None}
    return json.dumps({**message, **stop, "usage": a.USAGE}).encode()


def _messages_stream(said: Says) -> bytes:
    told = [a.begun(id=f"msg_{said.key}")] + ([a.thinking(0, *pieces(said.thought))] if said.thought else [])
    told += [a.text(len(told) - 1, *pieces(said.text))] if said.text else []
    for call_id, call in said.ids():
        told.append(a.call(len(told) - 1, call.name, *pieces(json.dumps(call.arguments)), id=call_id))
    return b"".join(told) + a.ended("tool_use" if said.calls else "end_turn")


# Gemini generateContent: calls always come whole


def gemini_reply(parts: list[dict[str, Any]], finish: str | None = None, key: str = "0") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m-1", "responseId": f"r_{key}"}


def _gemini_calls(said: Says) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"functionCall": {"name": call.name, "id": i, "args": call.arguments}} for i, call in said.ids()
    ]
    if said.thought and made:
        made[0]["thoughtSignature"] = "c2ln"
    return made


def _gemini(said: Says) -> bytes:
    parts = ([{"text": said.text}] if said.text else []) + _gemini_calls(said)
    return json.dumps(gemini_reply(parts, "STOP", said.key)).encode()


def _gemini_stream(said: Says) -> bytes:
    parts: list[dict[str, Any]] = [{"text": piece} for piece in pieces(said.text)] + _gemini_calls(said)
    told = [gemini_reply([part], None, said.key) for part in parts] + [gemini_reply([{"text": ""}], "STOP", said.key)]
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in told)


# Gemini Interactions


def _interaction(said: Says, **more: Any) -> dict[str, Any]:
    status = "requires_action" if said.calls else "completed"
    usage = {"total_input_tokens": 4, "total_output_tokens": 2, "total_tokens": 6}
    return {"id": f"i_{said.key}", "model": "m-1", "status": status, "usage": usage, **more}


def _steps(said: Says) -> list[dict[str, Any]]:
    text = {"type": "model_output", "content": [{"type": "text", "text": said.text}]}
    calls = [{"type": "function_call", "id": i, "name": x.name, "arguments": x.arguments} for i, x in said.ids()]
    return ([text] if said.text else []) + calls


def _interaction_events(said: Says) -> Iterator[dict[str, Any]]:
    yield {"event_type": "interaction.created", "interaction": _interaction(said, status="queued", usage=None)}
    for index, step in enumerate(_steps(said)):
        is_call = step["type"] == "function_call"
        yield {
            "event_type": "step.start",
            "index": index,
            "step": {**step, "arguments": {}} if is_call else {"type": step["type"]},
        }
        text = json.dumps(step["arguments"]) if is_call else step["content"][0]["text"]
        for piece in pieces(text):
            delta = {"type": "arguments_delta", "arguments": piece} if is_call else {"type": "text", "text": piece}
            yield {"event_type": "step.delta", "index": index, "delta": delta}
        yield {"event_type": "step.stop", "index": index}
    whole = _interaction(said)
    yield {"event_type": "interaction.status_update", "interaction_id": whole["id"], "status": whole["status"]}
    yield {"event_type": "interaction.completed", "interaction": whole}


def _interaction_stream(said: Says) -> bytes:
    told = "".join(f"event: {e['event_type']}\ndata: {json.dumps(e)}\n\n" for e in _interaction_events(said))
    return told.encode() + b"event: done\ndata: [DONE]\n\n"


_OPENAI_LIMITED = {"error": {"message": _SLOW_DOWN, "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
_GOOGLE_LIMITED = {"error": {"code": 429, "message": _SLOW_DOWN, "status": "RESOURCE_EXHAUSTED"}}

DIALECTS = {
    "chat": Dialect(_chat, _chat_stream, _OPENAI_LIMITED),
    "mistral": Dialect(_chat, lambda said: _chat_stream(said, whole_calls=True), _OPENAI_LIMITED, path=""),
    "responses": Dialect(
        lambda said: r.body(*_items(said), id=f"resp_{said.key}"),
        lambda said: r.stream(*_items(said), piece=16, id=f"resp_{said.key}"),
        _OPENAI_LIMITED,
        ends=("completed", "completed"),
    ),
    "messages": Dialect(
        _messages,
        _messages_stream,
        {"type": "error", "error": {"type": "rate_limit_error", "message": _SLOW_DOWN}},
        path="",
        refused=403,
        ends=("end_turn", "tool_use"),
    ),
    "gemini": Dialect(_gemini, _gemini_stream, _GOOGLE_LIMITED, path="", ends=("STOP", "STOP")),
    "interactions": Dialect(
        lambda said: json.dumps({**_interaction(said), "steps": _steps(said)}).encode(),
        _interaction_stream,
        _GOOGLE_LIMITED,
        path="",
        ends=("completed", "requires_action"),
    ),
}
