"""Chat completions and Responses."""

from __future__ import annotations

import json

from tests.support import chat_stream as chat
from tests.support.parity.format import Call, Json, ModelFormat, Understood, error_of, halves, offered
from tests.support.responses import frame, function, message, response


def _chat_ask(texts: list[str], tools: list[str], streamed: bool) -> Json:
    asked: Json = {"model": "m", "messages": [{"role": "user", "content": text} for text in texts]}
    if tools:
        asked["tools"] = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in tools]
    return {**asked, "stream": True} if streamed else asked


def _chat_whole(texts: list[str], calls: list[Call]) -> Json:
    made = [chat.call(None, call.name, call.arguments, call.id) for call in calls]
    turn: Json = {"role": "assistant", "content": "".join(texts) or None}
    choice = {"index": 0, "message": {**turn, "tool_calls": made} if made else turn}
    finish = "tool_calls" if calls else "stop"
    return {"id": "c1", "object": "chat.completion", "model": "m-1", "choices": [{**choice, "finish_reason": finish}]}


def _chat_events(texts: list[str], calls: list[Call]) -> list[bytes]:
    events = [chat.chunk({"role": "assistant"}), *(chat.chunk({"content": p}) for t in texts for p in halves(t))]
    for index, call in enumerate(calls):
        events.append(chat.calling(chat.call(index, call.name, "", call.id)))
        events += [chat.calling(chat.call(index, arguments=piece)) for piece in call.pieces]
    return [*events, chat.chunk({}, "tool_calls" if calls else "stop"), chat.DONE]


def _chat_read(value: Json) -> Understood:
    if "choices" not in value:
        return Understood(error=error_of(value))
    turn = value["choices"][0]["message"]
    made = [call["function"] for call in turn.get("tool_calls") or ()]
    return Understood(turn["content"] or "", tuple((c["name"], json.loads(c["arguments"])) for c in made))


def _chat_gather(events: list[Json]) -> Understood:
    text, error = "", "".join(map(error_of, events))
    calls: list[list[str]] = []
    for delta in (choice["delta"] for event in events for choice in event.get("choices", ())):
        text += delta.get("content") or ""
        for call in delta.get("tool_calls") or ():
            assert call["index"] <= len(calls), "a gap in the indices"
            if call["index"] == len(calls):
                calls.append([call["function"]["name"], ""])
            calls[call["index"]][1] += call["function"].get("arguments", "")
    return Understood(text, tuple((name, json.loads(said)) for name, said in calls), error)


def _responses_ask(texts: list[str], tools: list[str], streamed: bool) -> Json:
    asked: Json = {"model": "m", "input": [{"role": "user", "content": text} for text in texts]}
    if tools:
        asked["tools"] = [{"type": "function", "name": name, "parameters": {}} for name in tools]
    return {**asked, "stream": True} if streamed else asked


def _responses_items(texts: list[str], calls: list[Call]) -> list[Json]:
    said = [message("".join(texts))] if texts else []
    return [*said, *(function(call.name, call.arguments) for call in calls)]


def _responses_whole(texts: list[str], calls: list[Call]) -> Json:
    return response(*_responses_items(texts, calls))


def _responses_events(texts: list[str], calls: list[Call]) -> list[bytes]:
    whole = _responses_items(texts, calls)
    told: list[tuple[str, Json]] = [("response.created", {"response": response(status="in_progress", usage=None)})]
    for index, item in enumerate(whole):
        where = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            opened: Json = {"content": []}
            pieces = [piece for text in texts for piece in halves(text)]
            inner = [("response.output_text.delta", {**where, "content_index": 0, "delta": p}) for p in pieces]
            inner.append(("response.output_text.done", {**where, "content_index": 0, "text": "".join(texts)}))
        else:
            opened = {"arguments": ""}
            call = calls[index - bool(texts)]
            kind = "response.function_call_arguments"
            inner = [(f"{kind}.delta", {**where, "delta": piece}) for piece in call.pieces]
            inner.append((f"{kind}.done", {**where, "arguments": call.arguments}))
        told.append(("response.output_item.added", {"output_index": index, "item": {**item, **opened}}))
        told += [*inner, ("response.output_item.done", {"output_index": index, "item": item})]
    told.append(("response.completed", {"response": response(*whole)}))
    return [frame(kind, number, **fields) for number, (kind, fields) in enumerate(told)]


def _responses_read(value: Json) -> Understood:
    if "output" not in value:
        return Understood(error=error_of(value))
    parts = [part for item in value["output"] if item["type"] == "message" for part in item["content"]]
    calls = [item for item in value["output"] if item["type"] == "function_call"]
    text = "".join(part["text"] for part in parts)
    return Understood(text, tuple((call["name"], json.loads(call["arguments"])) for call in calls))


def _responses_gather(events: list[Json]) -> Understood:
    numbers = [event["sequence_number"] for event in events if "sequence_number" in event]
    assert numbers == sorted(set(numbers)), "sequence numbers do not follow one another"
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    ends = [event["response"] for event in events if event["type"] == "response.completed"]
    if not ends:
        failed = [event.get("response") or event for event in events if event["type"] in ("error", "response.failed")]
        return Understood(said, error="".join(map(error_of, failed)))
    told = _responses_read({"output": done})
    assert told == _responses_read(ends[0]) and told.text == said, "the stream does not agree with its own end"
    return told


CHAT = ModelFormat(
    "chat", "/v1/chat/completions", "/v1/chat/completions",
    _chat_ask, _chat_whole, _chat_events, _chat_read, _chat_gather, offered,
)  # fmt: skip
RESPONSES = ModelFormat(
    "Responses", "/v1/responses", "/v1/responses",
    _responses_ask, _responses_whole, _responses_events, _responses_read, _responses_gather, offered,
)  # fmt: skip
