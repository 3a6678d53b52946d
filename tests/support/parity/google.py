"""GenerateContent and Interactions."""

from __future__ import annotations

import json

from tests.support.parity.format import Call, Json, ModelFormat, Understood, error_of, halves, offered

_USAGE = {"total_input_tokens": 4, "total_output_tokens": 2, "total_tokens": 6}
PLACE = "/v1beta/models/m:"


def _gemini_ask(texts: list[str], tools: list[str], _: bool) -> Json:
    asked: Json = {"contents": [{"role": "user", "parts": [{"text": text}]} for text in texts]}
    return {**asked, "tools": [{"functionDeclarations": [{"name": n} for n in tools]}]} if tools else asked


def _gemini_chunk(parts: list[Json], finish: str | None) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate], "modelVersion": "m-1"}


def _gemini_calls(calls: list[Call]) -> list[Json]:
    return [{"functionCall": {"name": call.name, "args": json.loads(call.arguments)}} for call in calls]


def _gemini_whole(texts: list[str], calls: list[Call]) -> Json:
    said: list[Json] = [{"text": "".join(texts)}] if texts else []
    return _gemini_chunk(said + _gemini_calls(calls), "STOP")


def _gemini_events(texts: list[str], calls: list[Call]) -> list[bytes]:
    chunks = [_gemini_chunk([{"text": piece}], None) for text in texts for piece in halves(text)]
    chunks += [_gemini_chunk([call], None) for call in _gemini_calls(calls)]
    chunks.append(_gemini_chunk([{"text": ""}], "STOP"))
    return [b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks]


def _gemini_read(value: Json) -> Understood:
    if "candidates" not in value:
        return Understood(error=error_of(value))
    parts = value["candidates"][0]["content"]["parts"]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return Understood("".join(p.get("text", "") for p in parts), tuple((c["name"], c["args"]) for c in calls))


def _gemini_gather(events: list[Json]) -> Understood:
    told = [_gemini_read(event) for event in events]
    calls = tuple(call for one in told for call in one.calls)
    return Understood("".join(one.text for one in told), calls, "".join(one.error for one in told))


def _interactions_ask(texts: list[str], tools: list[str], streamed: bool) -> Json:
    turns = [{"type": "user_input", "content": [{"type": "text", "text": text}]} for text in texts]
    asked: Json = {"model": "m", "input": turns}
    if tools:
        asked["tools"] = [{"type": "function", "name": name, "parameters": {}} for name in tools]
    return {**asked, "stream": True} if streamed else asked


def _interactions_steps(texts: list[str], calls: list[Call]) -> list[Json]:
    said: list[Json] = []
    if texts:
        said.append({"type": "model_output", "content": [{"type": "text", "text": "".join(texts)}]})
    made = [(call, json.loads(call.arguments)) for call in calls]
    return [*said, *({"type": "function_call", "id": c.id, "name": c.name, "arguments": a} for c, a in made)]


def _interactions_whole(texts: list[str], calls: list[Call]) -> Json:
    status = "requires_action" if calls else "completed"
    steps = _interactions_steps(texts, calls)
    return {"id": "i1", "object": "interaction", "status": status, "model": "m-1", "usage": _USAGE, "steps": steps}


def _interactions_events(texts: list[str], calls: list[Call]) -> list[bytes]:
    head = {"id": "i1", "model": "m-1"}
    told: list[tuple[str, Json]] = [("interaction.created", {"interaction": {**head, "status": "in_progress"}})]
    if texts:
        told.append(("step.start", {"index": 0, "step": {"type": "model_output"}}))
        pieces = [piece for text in texts for piece in halves(text)]
        told += [("step.delta", {"index": 0, "delta": {"type": "text", "text": piece}}) for piece in pieces]
        told.append(("step.stop", {"index": 0}))
    for index, call in enumerate(calls, start=bool(texts)):
        step = {"type": "function_call", "id": call.id, "name": call.name, "arguments": {}}
        told.append(("step.start", {"index": index, "step": step}))
        deltas = [{"type": "arguments_delta", "arguments": piece} for piece in call.pieces]
        told += [("step.delta", {"index": index, "delta": delta}) for delta in deltas]
        told.append(("step.stop", {"index": index}))
    status = "requires_action" if calls else "completed"
    told.append(("interaction.completed", {"interaction": {**head, "status": status, "usage": _USAGE}}))
    events = [
        f"event: {kind}\ndata: {json.dumps({'event_type': kind, **fields})}\n\n".encode() for kind, fields in told
    ]
    return [*events, b"event: done\ndata: [DONE]\n\n"]


def _interactions_read(value: Json) -> Understood:
    if "steps" not in value:
        return Understood(error=error_of(value))
    said = [content for step in value["steps"] for content in step.get("content") or ()]
    calls = [step for step in value["steps"] if step["type"] == "function_call"]
    return Understood("".join(c["text"] for c in said), tuple((c["name"], c["arguments"]) for c in calls))


def _interactions_gather(events: list[Json]) -> Understood:
    text, error = "", "".join(map(error_of, events))
    steps: dict[int, list[str]] = {}
    for event in events:
        if event.get("event_type") == "step.start" and event["step"]["type"] == "function_call":
            steps[event["index"]] = [event["step"]["name"], ""]
        elif event.get("event_type") == "step.delta":
            delta = event["delta"]
            text += delta.get("text", "")
            if delta["type"] == "arguments_delta":
                steps[event["index"]][1] += delta["arguments"]
    return Understood(text, tuple((name, json.loads(said or "{}")) for name, said in steps.values()), error)


def _declared(asked: Json) -> list[str]:
    return [one["name"] for tool in asked.get("tools") or () for one in tool["functionDeclarations"]]


GEMINI = ModelFormat(
    "Gemini", f"{PLACE}generateContent", f"{PLACE}streamGenerateContent?alt=sse",
    _gemini_ask, _gemini_whole, _gemini_events, _gemini_read, _gemini_gather, _declared,
)  # fmt: skip
INTERACTIONS = ModelFormat(
    "Interactions", "/v1beta/interactions", "/v1beta/interactions",
    _interactions_ask, _interactions_whole, _interactions_events, _interactions_read, _interactions_gather, offered,
)  # fmt: skip
